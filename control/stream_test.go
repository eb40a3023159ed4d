package control

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"testing"
	"time"
)

// echo sends back the hello and what comes.
func echo(c *Config) {
	c.Stream = func(hello []byte, conn net.Conn) {
		defer conn.Close()
		_, _ = conn.Write(hello)
		_, _ = io.Copy(conn, conn)
	}
}

func mustStream(t testing.TB, from, to *node, hello []byte) net.Conn {
	t.Helper()
	c, err := from.Stream(t.Context(), to.Addr(), hello)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return c
}

func TestStream(t *testing.T) {
	t.Parallel()
	for name, change := range bothWays(t) {
		t.Run(name, func(t *testing.T) {
			a, b := pair(t, change, echo)
			hello := bytes.Repeat([]byte("h"), MaxHello)
			c := mustStream(t, a, b, hello)
			body := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
			go func() { _, _ = c.Write(body) }()
			got := make([]byte, len(hello)+len(body))
			if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, append(hello, body...)) {
				t.Fatalf("not what was sent; error %v", err)
			}
			a.Identify(9) // streams stay
			write(t, c, []byte("x"))
			if _, err := io.ReadFull(c, got[:1]); err != nil || got[0] != 'x' {
				t.Fatalf("%q, error %v", got[0], err)
			}
			_ = c.Close()
			a.mu.Lock()
			defer a.mu.Unlock()
			if len(a.sockets) != 0 {
				t.Errorf("%d sockets are still kept", len(a.sockets))
			}
		})
	}
}

func TestStreamErrors(t *testing.T) {
	t.Parallel()
	a, b, other := open(t, 1), open(t, 2), open(t, 3, echo, func(c *Config) { c.Cluster = 8 })
	silent, silence := listen(t)
	defer silent.Close()
	ended, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	fails := func(err, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Errorf("error %v, want %v", err, want)
		}
	}
	_, err := a.Stream(t.Context(), b.Addr(), make([]byte, MaxHello+1))
	fails(err, ErrTooLarge)
	_, err = a.Stream(t.Context(), b.Addr(), nil)
	fails(err, ErrKind)
	_, err = a.Stream(t.Context(), other.Addr(), nil)
	fails(err, ErrCluster)
	_, err = a.Stream(ended, silence, nil)
	fails(err, context.Canceled)
	time.AfterFunc(10*time.Millisecond, func() { _ = a.Close() })
	_, err = a.Stream(t.Context(), silence, nil)
	fails(err, ErrClosed)
	_, err = a.Stream(t.Context(), b.Addr(), nil)
	fails(err, ErrClosed)
}

// TestCloseEndsStreams on both sides, in the middle of reading.
func TestCloseEndsStreams(t *testing.T) {
	t.Parallel()
	a, b := open(t, 1), open(t, 2, echo)
	c := mustStream(t, a, b, []byte("h"))
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil { // returns only after echo has
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("the stream is still open")
	}
	d := mustStream(t, a, open(t, 3, echo), nil)
	_ = a.Close()
	if _, err := d.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("error %v, want %v", err, net.ErrClosed)
	}
}

func TestMutualTLS(t *testing.T) {
	t.Parallel()
	keys := newKeys(t)
	a, b := pair(t, func(c *Config) { c.TLS = keys })
	for _, body := range []string{"one", "", string(bytes.Repeat([]byte("x"), 3<<20)), "two"} {
		a.Send(2, []byte(body))
		b.wantBody(1, body)
		b.Send(1, []byte(body))
		a.wantBody(2, body)
	}
	a.Send(2, []byte("last words"))
	a.Hangup(2)
	b.wantBody(1, "last words")
	b.wantErr(1, io.EOF)

	nameless := keys.Clone()
	nameless.Certificates = nil
	for name, cfg := range map[string]*tls.Config{"without certificate": nameless, "of another authority": newKeys(t), "plain": nil} {
		c := open(t, 3, func(c *Config) { c.TLS = cfg })
		c.Dial(2, b.Addr())
		e := c.want(Disconnected, 2)
		t.Logf("%s: %v", name, e.Err)
		b.Dial(3, c.Addr())
		b.want(Disconnected, 3)
	}
	a.quiet()
	b.quiet()
}

// bothWays returns changes to a configuration: TCP and TLS.
func bothWays(t testing.TB) map[string]func(*Config) {
	keys := newKeys(t)
	return map[string]func(*Config){"tcp": func(*Config) {}, "tls": func(c *Config) { c.TLS = keys }}
}

// newKeys makes an authority, and a certificate that all nodes share; each side
// requires it of the other.
func newKeys(t testing.TB) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		RootCAs:      pool, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
	}
}

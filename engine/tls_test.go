package engine

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"
)

// mutualTLS makes a configuration by which nodes on lo know each other.
func mutualTLS(t *testing.T) *tls.Config {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "node"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		RootCAs:      pool, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
	}
}

// TestTLS: nodes that prove themselves form a ring and transfer state; one that
// cannot is not let in.
func TestTLS(t *testing.T) {
	cluster := clusterOf(t)
	secure := func(c *Config) { c.TLS = mutualTLS(t) }
	first := mutualTLS(t)
	same := func(c *Config) { c.TLS = first }
	a, b := open(t, cluster, "a", same), open(t, cluster, "b", same)
	la, lb := &ledger{}, &ledger{}
	ga, err := a.Join(patient(t), "secret", la)
	if err != nil {
		t.Fatal(err)
	}
	if err := ga.Send(patient(t), Total, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Join(patient(t), "secret", lb); err != nil {
		t.Fatal(err)
	}
	sameLedgers(t, 1, false, la, lb)
	for what, change := range map[string]func(c *Config){"other keys": secure, "no keys": func(*Config) {}} {
		c := Config{Cluster: cluster, Interface: "lo", Logger: a.cfg.Logger, Expect: 3}
		change(&c)
		ctx, cancel := context.WithTimeout(context.Background(), 700*time.Millisecond)
		n, err := Open(ctx, c)
		if err == nil {
			_ = n.Close()
		}
		if !errors.Is(err, ErrNoView) || !strings.Contains(err.Error(), "control: peer") {
			t.Errorf("%s: %v, want ErrNoView and what became of the connection", what, err)
		}
		cancel()
	}
	if k := len(a.View().Members); k != 2 {
		t.Errorf("%d members, want 2", k)
	}
}

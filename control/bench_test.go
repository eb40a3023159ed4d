package control

import (
	"io"
	"net"
	"testing"
)

// BenchmarkRoundTrip sends a letter of 200 bytes and waits for one back. Both
// ends sleep until they are woken.
func BenchmarkRoundTrip(b *testing.B) {
	for name, change := range bothWays(b) {
		b.Run(name, func(b *testing.B) {
			x, y := pair(b, change)
			body := make([]byte, 200)
			b.ReportAllocs()
			for b.Loop() {
				x.Send(2, body)
				y.want(Received, 1)
				y.Send(1, body)
				x.want(Received, 2)
			}
		})
	}
}

// BenchmarkStream writes pieces of 256 KiB to one who reads them.
func BenchmarkStream(b *testing.B) {
	for name, change := range bothWays(b) {
		b.Run(name, func(b *testing.B) {
			read := make(chan int64)
			x, y := pair(b, change, func(c *Config) {
				c.Stream = func(_ []byte, conn net.Conn) {
					n, _ := io.CopyBuffer(struct{ io.Writer }{io.Discard}, conn, make([]byte, 256<<10))
					read <- n
				}
			})
			conn := mustStream(b, x, y, nil)
			body := make([]byte, 256<<10)
			b.SetBytes(int64(len(body)))
			var sent int64
			for b.Loop() {
				n, err := conn.Write(body)
				if err != nil {
					b.Fatal(err)
				}
				sent += int64(n)
			}
			_ = conn.Close()
			if n := <-read; n != sent {
				b.Fatalf("%d bytes came of %d", n, sent)
			}
		})
	}
}

// BenchmarkIdlePoll is what a turn of the loop pays when nothing happened.
func BenchmarkIdlePoll(b *testing.B) {
	x := open(b, 1)
	var events []Event
	for b.Loop() {
		events = x.Poll(events[:0])
	}
}

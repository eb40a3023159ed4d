package batch

import (
	"fmt"
	"testing"
)

// BenchmarkSendRecv sends four trains and receives them, in one goroutine: the
// cost of the calls alone, without wake-ups. An operation is four trains.
func BenchmarkSendRecv(b *testing.B) {
	for _, segment := range []int{64, 1400} {
		for _, trains := range []bool{true, false} {
			b.Run(fmt.Sprintf("%dB/trains=%v", segment, trains), func(b *testing.B) {
				from, _ := socket(b, "127.0.0.1", false)
				to, addr := socket(b, "127.0.0.1", trains)
				benchmarkSendRecv(b, NewSender(from, 64, trains), NewReceiver(to, 64, trains), &addr, segment)
			})
		}
	}
}

func benchmarkSendRecv(b *testing.B, s *Sender, r *Receiver, to *Addr, segment int) {
	size := min(MaxSegments, MaxPayload/segment) * segment
	out := []Train{train(to, size, segment), train(to, size, segment), train(to, size, segment), train(to, size, segment)}
	whole := room(64, 1<<16)
	in := make([]Train, len(whole))
	b.SetBytes(int64(len(out) * size))
	b.ReportAllocs()
	for b.Loop() {
		if n, err := s.Send(out); n != len(out) || err != nil {
			b.Fatal(n, err)
		}
		for got := 0; got < len(out)*size; {
			copy(in, whole)
			n, err := r.Recv(in)
			if n == 0 || err != nil {
				b.Fatalf("%d of %d bytes came: %v", got, len(out)*size, err)
			}
			for i := range n {
				got += len(in[i].Buf)
			}
		}
	}
	b.ReportMetric(b.Elapsed().Seconds()*1e9/float64(b.N*len(out)*(size/segment)), "ns/packet")
}

package wire

// Range is a run of packet numbers of one stream.
type Range struct {
	From  uint64
	Count uint16
}

// MaxRanges bounds the ranges of one NAK.
const MaxRanges = 64

// RangesIn returns how many ranges fit a NAK in a packet of segment bytes.
func RangesIn(segment int) int { return min(MaxRanges, (segment-Overhead-2)/10) }

// NAKSize is the largest body of a NAK, in bytes.
const NAKSize = 2 + MaxRanges*10

// AppendNAK appends the body of a request for packets of the member with rank
// stream: at most MaxRanges ranges.
func AppendNAK(b []byte, stream int, ranges []Range) []byte {
	b = append(b, byte(stream), byte(len(ranges)))
	for _, r := range ranges {
		b = le.AppendUint64(b, r.From)
		b = le.AppendUint16(b, r.Count)
	}
	return b
}

// ParseNAK reads the body of a NAK in a view of n members, appending its ranges
// to into.
func ParseNAK(body []byte, n int, into []Range) (stream int, ranges []Range, err error) {
	if len(body) < 2 || int(body[0]) >= n || int(body[1]) > MaxRanges || len(body) != 2+10*int(body[1]) {
		return 0, into, ErrSection
	}
	stream = int(body[0])
	for body = body[2:]; len(body) > 0; body = body[10:] {
		into = append(into, Range{From: le.Uint64(body), Count: le.Uint16(body[8:])})
	}
	return stream, into, nil
}

package load

// echoFlag marks an echo in the byte of a whole stamp's sender, which is less than 64.
const echoFlag = 1 << 7

// MarkEcho makes a whole message an answer to itself: all else in its stamp stays, so
// that who sent it first can tell how long ago that was.
func MarkEcho(b []byte) {
	if len(b) < stampSize {
		le.PutUint64(b, le.Uint64(b)|1<<echoAt)
		return
	}
	b[24] |= echoFlag
}

// IsEcho tells whether a whole message is an answer.
func IsEcho(b []byte) bool {
	if len(b) < stampSize {
		return le.Uint64(b)>>echoAt&1 != 0
	}
	return b[24]&echoFlag != 0
}

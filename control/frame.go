package control

// appendFrames appends to frames, for each letter, its length as u32, little
// endian, and the letter. The lengths are written to heads, 4 bytes each; the
// letters are not copied.
func appendFrames(frames [][]byte, heads []byte, letters [][]byte) [][]byte {
	for i, body := range letters {
		head := heads[4*i : 4*i+4]
		le.PutUint32(head, uint32(len(body)))
		frames = append(frames, head, body)
	}
	return frames
}

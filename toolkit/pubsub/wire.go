package pubsub

import "fmt"

// A message on the wire: the tag, the topic's length (1 byte), the topic, the payload.
const (
	tagMessage = 1
	headSize   = 2
)

func appendMessage(b []byte, topic string, payload []byte) []byte {
	b = append(b, tagMessage, byte(len(topic)))
	b = append(b, topic...)
	return append(b, payload...)
}

// parseMessage returns the parts of a message, which lie in b.
func parseMessage(b []byte) (topic, payload []byte, err error) {
	switch {
	case len(b) < headSize || b[0] != tagMessage:
		return nil, nil, fmt.Errorf("pubsub: %d bytes that are no message", len(b))
	case len(b) < headSize+int(b[1]):
		return nil, nil, fmt.Errorf("pubsub: a message of %d bytes with a topic of %d", len(b), b[1])
	}
	return b[headSize : headSize+int(b[1])], b[headSize+int(b[1]):], nil
}

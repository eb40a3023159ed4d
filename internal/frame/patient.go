package frame

import (
	"net"
	"time"
)

// Patient reads from Conn, each read for at most Wait; 0: as long as the deadline says.
type Patient struct {
	Conn net.Conn
	Wait time.Duration
}

// Read reads what there is, as Conn does; its errors are Conn's.
func (p *Patient) Read(b []byte) (int, error) {
	if p.Wait > 0 {
		_ = p.Conn.SetReadDeadline(time.Now().Add(p.Wait)) // closed: the read tells
	}
	return p.Conn.Read(b)
}

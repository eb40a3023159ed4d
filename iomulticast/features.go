package iomulticast

// Feature is something that the kernel may or may not offer.
type Feature struct {
	On  bool   `json:"on"`
	Why string `json:"why,omitempty"` // why it is off; empty while it is on
}

// String gives "on", or "off" with the reason.
func (f Feature) String() string {
	if f.On {
		return "on"
	}
	return "off: " + f.Why
}

// Features is what Open found and set.
type Features struct {
	Interface string `json:"interface"` // name
	MTU       int    `json:"mtu"`       // of the interface, bytes
	Segment   int    `json:"segment"`   // largest packet to use, bytes of UDP payload
	Portable  bool   `json:"portable"`  // package net instead of batched system calls

	Multicast Feature `json:"multicast"` // what is for all goes to the group; else, or besides, to members one by one

	GSO    Feature `json:"gso"`    // trains are sent whole; may go off while running
	GRO    Feature `json:"gro"`    // trains are received whole
	Filter Feature `json:"filter"` // the kernel drops own multicast; otherwise the Conn does

	RecvBufferAsked   int    `json:"recv_buffer_asked"`             // per socket, bytes of kernel memory
	RecvBuffer        int    `json:"recv_buffer"`                   // granted per socket, bytes of kernel memory; 0: not known
	RecvBufferRefused string `json:"recv_buffer_refused,omitempty"` // what was refused and what limits it; empty if nothing
	SendBuffer        int    `json:"send_buffer"`                   // granted, bytes of kernel memory; 0: not known
}

//go:build !linux

package iomulticast

func openLink(cfg Config, n nic) (link, error) { return openPortable(cfg, n) }

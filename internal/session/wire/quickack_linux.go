package wire

import (
	"syscall"
)

// quickAck makes the kernel acknowledge at once while a "+" is awaited. Servers that leave Nagle's
// algorithm on (Cyrus, Courier) hold the "+" back until our delayed acknowledgement, 40 ms later, of
// the answer before it.
func (c *Conn) quickAck() {
	c.mu.Lock()
	asking := c.asking != nil
	c.mu.Unlock()
	tcp, ok := c.raw.(syscall.Conn)
	if !asking || !ok {
		return
	}
	rc, err := tcp.SyscallConn()
	if err != nil {
		return
	}
	// Speed only: whether it worked does not matter.
	_ = rc.Control(func(fd uintptr) {
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_QUICKACK, 1)
	})
}

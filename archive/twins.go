package archive

// twins finds, for the messages of a new epoch, the same mailbox's messages of older epochs with
// equal octets, each at most once, so that a change of UIDVALIDITY adds records and nothing else: the
// tar's file of the old message becomes the file of the new one.
type twins struct {
	epoch uint32
	free  map[Sum][]*Message
}

// twin returns a message whose file msg can have, or nil.
func (w *Writer) twin(msg *Message) *Message {
	if msg.Epoch <= 1 {
		return nil
	}
	t := w.twins[msg.Mailbox]
	if t == nil || t.epoch != msg.Epoch {
		t = w.loadTwins(msg.Mailbox, msg.Epoch)
		w.twins[msg.Mailbox] = t
	}
	free := t.free[msg.Sum]
	if len(free) == 0 {
		return nil
	}
	t.free[msg.Sum] = free[1:]
	return free[0]
}

// loadTwins collects the older epochs' files that no message of this epoch has yet.
func (c *Catalog) loadTwins(mailbox, epoch uint32) *twins {
	t := &twins{epoch: epoch, free: make(map[Sum][]*Message)}
	taken := make(map[*Message]bool)
	for _, m := range c.sorted(mailbox) {
		if m.Epoch == epoch && m.from != nil {
			taken[m.from] = true
		}
	}
	for _, m := range c.sorted(mailbox) {
		// Only the owner of a file can lend it: a message that has borrowed one stands aside.
		if m.Epoch < epoch && m.from == nil && !taken[m] {
			t.free[m.Sum] = append(t.free[m.Sum], m)
		}
	}
	return t
}

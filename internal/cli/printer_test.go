package cli

import (
	"bytes"
	"errors"
	"testing"
)

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space") }

func TestPrinter(t *testing.T) {
	var b bytes.Buffer
	p := NewPrinter(&b)
	p.Linef("%s", "a\x1b")
	p.JSON(map[string]int{"n": 1})
	if b.String() != "a\\x1b\n{\"n\":1}\n" || p.Err() != nil {
		t.Errorf("printed %q, error %v", b.String(), p.Err())
	}
	p = NewPrinter(fullDisk{})
	p.Linef("a")
	p.Linef("b")
	if p.Err() == nil {
		t.Error("a write error is lost")
	}
}

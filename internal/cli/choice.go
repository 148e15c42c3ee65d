package cli

import (
	"errors"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// choice is a flag with a fixed set of values.
type choice struct {
	value   *string
	allowed []string
}

// AddChoice adds a flag that takes one of the allowed values; the first is the default.
func AddChoice(fs *pflag.FlagSet, value *string, name, usage string, allowed ...string) {
	*value = allowed[0]
	f := fs.VarPF(&choice{value: value, allowed: allowed}, name, "", usage)
	f.DefValue = allowed[0]
}

func (c *choice) String() string { return *c.value }
func (c *choice) Type() string   { return strings.Join(c.allowed, "|") }

func (c *choice) Set(s string) error {
	if !slices.Contains(c.allowed, s) {
		return errors.New("want " + strings.Join(c.allowed, ", "))
	}
	*c.value = s
	return nil
}

// refused is a flag that exists only to say why it does not.
type refused struct{ err *UsageError }

func (r refused) String() string   { return "" }
func (r refused) Type() string     { return "string" }
func (r refused) Set(string) error { return r.err }

package cli

import (
	"strings"

	"github.com/spf13/pflag"
)

const (
	envPrefix    = "MAILARK_"
	envPassword  = envPrefix + "PASSWORD"
	passwordFlag = "password"
)

// fromEnvironment gives every flag that is not on the command line its value from MAILARK_<FLAG>.
// An empty variable counts as none; a list has one value a line.
func fromEnvironment(all *pflag.FlagSet, lookup func(string) (string, bool)) error {
	var first error
	all.VisitAll(func(f *pflag.Flag) {
		if first != nil || f.Changed || f.Hidden || f.Name == "help" || f.Name == "version" {
			return
		}
		name := envPrefix + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		text, _ := lookup(name)
		values := []string{text}
		if f.Value.Type() == "stringArray" {
			values = strings.Split(text, "\n")
		}
		for _, v := range values {
			if v == "" {
				continue
			}
			if err := all.Set(f.Name, v); err != nil {
				first = &UsageError{Text: name + ": " + err.Error()}
				return
			}
		}
	})
	return first
}

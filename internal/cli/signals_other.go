//go:build !unix

package cli

import "os"

// askSignals are none: there is no signal to ask by.
func askSignals() []os.Signal { return nil }

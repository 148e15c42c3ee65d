//go:build unix

package cli

import (
	"os"
	"syscall"
)

// askSignals are those that ask for the progress.
func askSignals() []os.Signal { return []os.Signal{syscall.SIGUSR1} }

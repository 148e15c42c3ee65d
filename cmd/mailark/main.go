// Command mailark works on an archive alone, without a server: it verifies, lists, shows and
// extracts what is in it. It changes no archive, and needs no lock.
package main

import (
	"os"

	"mailark/internal/cli"
)

const about = "mailark works on an archive that mailark-export made. No server is needed, nothing is changed."

func main() {
	os.Exit(cli.Dispatch("mailark", about, []*cli.Command{
		verifyCommand(), listCommand(), showCommand(), extractCommand(), statusCommand(),
	}))
}

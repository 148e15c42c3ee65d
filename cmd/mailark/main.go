// Command mailark works on an archive alone, without a server: it verifies, lists, shows and
// extracts what is in it, makes a lost catalog anew and puts aside what is damaged.
package main

import (
	"os"

	"mailark/internal/cli"
)

const about = "mailark works on an archive that mailark-export made. No server is needed."

func main() {
	os.Exit(cli.Dispatch("mailark", about, []*cli.Command{
		verifyCommand(), listCommand(), showCommand(), extractCommand(), statusCommand(), rebuildCommand(),
	}))
}

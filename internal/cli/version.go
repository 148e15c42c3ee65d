package cli

import "runtime/debug"

// version is set by the linker (make build).
var version string

// Version is the program's version: what the build says, else what the module says, else "dev".
func Version() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		if v := info.Main.Version; v != "" && v != "(devel)" {
			return v
		}
	}
	return "dev"
}

// Program is what Mailark calls itself in archives and towards servers.
func Program() string { return "mailark " + Version() }

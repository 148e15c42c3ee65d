package main

import (
	"os"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/pflag"

	"mailark/archive"
	"mailark/internal/scripttest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"mailark-export": main})
}

func TestReadmeNamesEveryFlag(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, section := range command().Sections {
		section.Flags.VisitAll(func(f *pflag.Flag) {
			if !f.Hidden && !strings.Contains(string(readme), "`--"+f.Name) {
				t.Errorf("README.md does not know --%s", f.Name)
			}
		})
	}
}

func TestScripts(t *testing.T) {
	scripttest.Run(t, map[string]scripttest.Command{"lock": lockArchive})
}

// lockArchive holds an archive's lock until the script ends: lock DIR.
func lockArchive(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: lock DIR")
	}
	w, err := archive.OpenWriter(ts.MkAbs(args[0]), nil)
	ts.Check(err)
	ts.Defer(func() { _ = w.Close() })
}

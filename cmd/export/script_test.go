package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"mailark/archive"
	"mailark/internal/scripttest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"mailark-export": main})
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

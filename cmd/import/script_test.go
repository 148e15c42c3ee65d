package main

import (
	"context"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/pflag"

	"mailark/internal/exporter"
	"mailark/internal/scripttest"
	"mailark/internal/session"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"mailark-import": main})
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
	scripttest.Run(t, map[string]scripttest.Command{"export": export})
}

// export copies the account on a server into an archive: export NAME DIR.
func export(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: export NAME DIR")
	}
	port, err := strconv.Atoi(ts.Getenv(args[0] + "_PORT"))
	ts.Check(err)
	result, err := exporter.Run(context.Background(), exporter.Options{
		Session: session.Options{
			Host: "127.0.0.1", Port: port, TLS: session.TLSNone, User: scripttest.User,
			Password: scripttest.GivePassword,
		},
		Dir: ts.MkAbs(args[1]),
	})
	ts.Check(err)
	if result.ExitCode() != 0 {
		ts.Fatalf("the export is not complete:\n%s", result)
	}
}

package cli

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestConnectionCheck(t *testing.T) {
	good := Connection{Host: "mail.example.com", User: "taro", TLS: "implicit"}
	tests := []struct {
		name   string
		change func(*Connection)
		want   string // part of the error; empty: none
	}{
		{"good", func(*Connection) {}, ""},
		{"no host", func(c *Connection) { c.Host = "" }, "--host is missing"},
		{"no user", func(c *Connection) { c.User = "" }, "--user is missing"},
		{"URL", func(c *Connection) { c.Host = "imaps://mail.example.com" }, "no host name"},
		{"host with line end", func(c *Connection) { c.Host = "a\r\nb" }, "no host name"},
		{"user with line end", func(c *Connection) { c.User = "a\r\nA1 LOGOUT" }, "control characters"},
		{"host and port", func(c *Connection) { c.Host = "mail.example.com:993" }, "--port"},
		{"IPv6", func(c *Connection) { c.Host = "2001:db8::1" }, ""},
		{"port", func(c *Connection) { c.Port = 70000 }, "--port 70000"},
		{"timeout", func(c *Connection) { c.Timeout = -1 }, "--timeout"},
		{"administrator", func(c *Connection) { c.AuthUser, c.Auth = "boss", "auto" }, ""},
		{"administrator by LOGIN", func(c *Connection) { c.AuthUser, c.Auth = "boss", "login" }, "--authuser works only"},
		{"administrator with line end", func(c *Connection) { c.AuthUser = "a\r\nb" }, "control characters"},
		{"pin and no check", func(c *Connection) { c.Pins, c.Insecure = []string{"sha256:00"}, true }, "contradict"},
		{"cleartext to the world", func(c *Connection) { c.TLS = "none" }, "--tls none works only"},
		{"cleartext to a name like it", func(c *Connection) { c.TLS, c.Host = "none", "localhost.example.com" }, "--tls none"},
		{"cleartext to localhost", func(c *Connection) { c.TLS, c.Host = "none", "localhost" }, ""},
		{"cleartext to 127.0.0.1", func(c *Connection) { c.TLS, c.Host = "none", "127.0.0.1" }, ""},
		{"cleartext to ::1", func(c *Connection) { c.TLS, c.Host = "none", "::1" }, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := good
			test.change(&c)
			err := c.check()
			if test.want == "" {
				if err != nil {
					t.Errorf("error %v, want none", err)
				}
				return
			}
			if ExitCode(err) != ExitUsage || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}

func writeSecret(t *testing.T, mode os.FileMode, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPasswordSources(t *testing.T) {
	file := writeSecret(t, 0o600, "from file \r\nsecond line\n")
	env := map[string]string{"MAILARK_PASSWORD": "from environment"}
	tests := []struct {
		name    string
		conn    Connection
		env     map[string]string
		want    string
		wantErr string
	}{
		{"file wins", Connection{PasswordFile: file, PasswordCommand: "echo from command"}, env, "from file ", ""},
		{"command wins over environment", Connection{PasswordCommand: "echo from command; echo more"}, env, "from command", ""},
		{"environment", Connection{}, env, "from environment", ""},
		{"8-bit", Connection{PasswordCommand: `printf 'p\303\244ss'`}, nil, "päss", ""},
		{"file missing", Connection{PasswordFile: file + "x"}, env, "", "no such file"},
		{"file readable by group", Connection{PasswordFile: writeSecret(t, 0o640, "tell nobody")}, env, "", "open to other users"},
		{"file readable by all", Connection{PasswordFile: writeSecret(t, 0o604, "tell nobody")}, env, "", "open to other users"},
		{"file empty", Connection{PasswordFile: writeSecret(t, 0o600, "\ntell nobody")}, env, "", "empty first line"},
		{"file with NUL", Connection{PasswordFile: writeSecret(t, 0o600, "tell\x00nobody")}, env, "", "NUL"},
		{"command fails", Connection{PasswordCommand: "echo tell nobody; exit 3"}, env, "", "exit status 3"},
		{"command silent", Connection{PasswordCommand: "true"}, env, "", "empty first line"},
		{"command endless", Connection{PasswordCommand: "yes '' | head -c 1000000"}, env, "", "empty first line"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			con, _, _ := testConsole(test.env)
			ask, err := test.conn.password(con)
			got := ""
			if err == nil {
				got, err = ask(t.Context())
			}
			if got != test.want {
				t.Errorf("password %q, want %q", got, test.want)
			}
			if (err == nil) != (test.wantErr == "") || err != nil && !strings.Contains(err.Error(), test.wantErr) {
				t.Errorf("error %v, want %q", err, test.wantErr)
			}
			if err != nil && (ExitCode(err) != ExitUsage || strings.Contains(err.Error(), "nobody")) {
				t.Errorf("error %v: exit %d; it must be 64 and tell no secret", err, ExitCode(err))
			}
		})
	}
}

func TestPasswordIsAskedOnce(t *testing.T) {
	con, _, _ := testConsole(nil)
	count := filepath.Join(t.TempDir(), "count")
	c := Connection{PasswordCommand: "echo x >>" + count + "; wc -l <" + count + "; test $(wc -l <" + count + ") -gt 1"}
	ask, err := c.password(con)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ask(t.Context()); err == nil {
		t.Fatal("the command fails the first time, and the error is lost")
	}
	for range 3 {
		if got, err := ask(t.Context()); got != "2" || err != nil {
			t.Errorf("password %q, error %v, want the second answer, kept", got, err)
		}
	}
}

func TestPasswordCommandInterrupted(t *testing.T) {
	con, _, _ := testConsole(nil)
	c := Connection{PasswordCommand: "exec sleep 1000"}
	ask, err := c.password(con)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(&InterruptedError{Signal: os.Interrupt})
	if _, err = ask(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want the interruption", err)
	}
}

func TestLogger(t *testing.T) {
	for _, verbose := range []bool{false, true} {
		con, _, stderr := testConsole(nil)
		path := filepath.Join(t.TempDir(), "log")
		out := Output{LogFile: path, Verbose: verbose}
		log, closer, err := out.Logger(con)
		if err != nil {
			t.Fatal(err)
		}
		log.Debug("d-line")
		log.Info("i-line")
		log.With("host", "h").Warn("w-line", "mailbox", "a \x1b b", slog.Group("g", "k", 1))
		if err := closer.Close(); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the log's mode is %v, want 0600", info.Mode())
		}
		file, lines := string(data), stderr.String()
		if strings.Contains(file, "d-line") != verbose || !strings.Contains(file, "i-line") || !strings.Contains(file, "w-line") {
			t.Errorf("verbose %v: the log is %q", verbose, file)
		}
		if strings.Contains(lines, "i-line") != verbose || strings.Contains(lines, "d-line") || strings.Contains(lines, "\x1b") {
			t.Errorf("verbose %v: stderr is %q", verbose, lines)
		}
		if !strings.Contains(lines, `mailark-test: warning: w-line host=h mailbox="a \x1b b"`) {
			t.Errorf("stderr is %q", lines)
		}
	}
}

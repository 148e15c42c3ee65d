package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/term"

	"mailark/internal/humane"
)

// passwordLimit bounds what is read from a file or a command, octets.
const passwordLimit = 64 << 10

type passwordFunc = func(ctx context.Context) (string, error)

// password chooses where the password comes from: file, command, environment, terminal. Whatever
// can be known to be missing or wrong now is an error now; only commands and people are asked later.
func (c *Connection) password(con *Console) (passwordFunc, error) {
	if c.PasswordFile != "" {
		secret, err := passwordFromFile(c.PasswordFile)
		return func(context.Context) (string, error) { return secret, nil }, err
	}
	if c.PasswordCommand != "" {
		return once(func(ctx context.Context) (string, error) {
			return passwordFromCommand(ctx, con, c.PasswordCommand)
		}), nil
	}
	if secret, _ := con.LookupEnv(envPassword); secret != "" {
		secret, err := firstLine([]byte(secret))
		if err != nil {
			return nil, &UsageError{Text: envPassword + " " + err.Error()}
		}
		return func(context.Context) (string, error) { return secret, nil }, nil
	}
	tty, err := openTerminal(con)
	if err != nil {
		return nil, err
	}
	owner := c.User
	if c.AuthUser != "" {
		owner = c.AuthUser
	}
	return once(func(ctx context.Context) (string, error) {
		return tty.ask(ctx, fmt.Sprintf("Password for %s at %s: ", humane.Printable(owner), c.Host))
	}), nil
}

// once remembers the answer, since a session asks again whenever it connects again.
func once(ask passwordFunc) passwordFunc {
	secret := ""
	return func(ctx context.Context) (string, error) {
		if secret != "" {
			return secret, nil
		}
		answer, err := ask(ctx)
		if err == nil {
			secret = answer
		}
		return answer, err
	}
}

func passwordFromFile(path string) (_ string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", &UsageError{Text: fmt.Sprintf("--password-file: %v", err)}
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return "", &UsageError{Text: fmt.Sprintf("--password-file: %v", err)}
	}
	if info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 {
		return "", &UsageError{
			Text: fmt.Sprintf("--password-file %s is open to other users (mode %04o)", path, info.Mode().Perm()),
			Hint: "run: chmod 600 " + path,
		}
	}
	data, err := io.ReadAll(io.LimitReader(f, passwordLimit))
	if err != nil {
		return "", &UsageError{Text: fmt.Sprintf("--password-file: %v", err)}
	}
	secret, err := firstLine(data)
	if err != nil {
		return "", &UsageError{Text: fmt.Sprintf("--password-file %s %v", path, err)}
	}
	return secret, nil
}

func passwordFromCommand(ctx context.Context, con *Console, command string) (string, error) {
	cmd := exec.CommandContext(ctx, "sh", "-c", command)
	var out bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = con.Stdin, &limited{&out, passwordLimit}, os.Stderr
	if err := cmd.Run(); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return "", cause
		}
		return "", &UsageError{Text: fmt.Sprintf("--password-command: %v", err)}
	}
	secret, err := firstLine(out.Bytes())
	if err != nil {
		return "", &UsageError{Text: "--password-command: what it printed " + err.Error()}
	}
	return secret, nil
}

// limited keeps the first n octets and takes the rest without keeping it.
type limited struct {
	buf *bytes.Buffer
	n   int
}

func (l *limited) Write(p []byte) (int, error) {
	l.buf.Write(p[:min(len(p), max(0, l.n-l.buf.Len()))])
	return len(p), nil
}

// firstLine is the first line without its end. Its errors never show the text.
func firstLine(data []byte) (string, error) {
	line, _, _ := strings.Cut(string(data), "\n")
	line = strings.TrimSuffix(line, "\r")
	switch {
	case line == "":
		return "", errors.New("has an empty first line, not a password")
	case strings.ContainsAny(line, "\x00\r"):
		return "", errors.New("holds a NUL or a carriage return, which no password can")
	}
	return line, nil
}

// terminal is where a person can be asked.
type terminal struct {
	in  *os.File
	out io.Writer
}

// openTerminal finds the controlling terminal, whatever stdin and stdout are redirected to.
func openTerminal(con *Console) (*terminal, error) {
	if f, err := os.OpenFile("/dev/tty", os.O_RDWR, 0); err == nil {
		return &terminal{in: f, out: f}, nil
	}
	if con.Stdin != nil && term.IsTerminal(int(con.Stdin.Fd())) {
		return &terminal{in: con.Stdin, out: con.Stderr}, nil
	}
	return nil, &UsageError{
		Text: "no password, and no terminal to ask for one",
		Hint: "use --password-file, --password-command or " + envPassword,
	}
}

// ask reads a line without echo. When ctx ends first, the terminal is put right and the cause returned.
func (t *terminal) ask(ctx context.Context, prompt string) (string, error) {
	fd := int(t.in.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", &UsageError{Text: fmt.Sprintf("ask for the password: %v", err)}
	}
	_, _ = io.WriteString(t.out, prompt)
	type answer struct {
		secret []byte
		err    error
	}
	answers := make(chan answer, 1)
	go func() {
		secret, err := term.ReadPassword(fd)
		answers <- answer{secret, err}
	}()
	select {
	case <-ctx.Done():
		_, _ = io.WriteString(t.out, "\n")
		return "", errors.Join(context.Cause(ctx), term.Restore(fd, before))
	case a := <-answers:
		_, _ = io.WriteString(t.out, "\n")
		if a.err != nil {
			return "", &UsageError{Text: fmt.Sprintf("ask for the password: %v", a.err)}
		}
		secret, err := firstLine(a.secret)
		if err != nil {
			return "", &UsageError{Text: "no password was typed"}
		}
		return secret, nil
	}
}

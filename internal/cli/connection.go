package cli

import (
	"log/slog"
	"net"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/pflag"

	"mailark/internal/session"
)

// Connection is how to reach and enter an account, as the user said it.
type Connection struct {
	Host            string // preset: the default
	Port            int
	User            string
	TLS             string
	CACert          string
	Insecure        bool
	Auth            string
	PasswordFile    string
	PasswordCommand string
	Timeout         time.Duration
}

// Section returns the flags of a connection.
func (c *Connection) Section() Section {
	fs := NewFlags()
	fs.StringVar(&c.Host, "host", c.Host, "IMAP server `NAME`")
	fs.IntVar(&c.Port, "port", 0, "`PORT` (default 993, or 143 with --tls starttls or none)")
	fs.StringVar(&c.User, "user", "", "sign in as `USER`, often the whole mail address")
	AddChoice(fs, &c.TLS, "tls", "how the connection is protected; none only to this machine itself",
		string(session.TLSImplicit), string(session.TLSStartTLS), string(session.TLSNone))
	fs.StringVar(&c.CACert, "ca-cert", "", "also trust the certificate authorities in PEM `FILE`")
	fs.BoolVar(&c.Insecure, "insecure-skip-verify", false,
		"do not check the server's certificate: anybody on the way can read mail and password")
	AddChoice(fs, &c.Auth, "auth", "way to sign in", "auto", "plain", "login")
	fs.StringVar(&c.PasswordFile, "password-file", "",
		"read the password from the first line of `FILE`, which only you may read")
	fs.StringVar(&c.PasswordCommand, "password-command", "",
		"read the password from the first line that `COMMAND` prints (run by sh -c)")
	fs.DurationVar(&c.Timeout, "timeout", 0,
		"give up on a server that is silent for this `TIME` while it owes an answer (default 5m)")
	c.refusePassword(fs)
	return Section{"Connection", fs}
}

func (c *Connection) refusePassword(fs *pflag.FlagSet) {
	f := fs.VarPF(refused{&UsageError{
		Text: "there is no --" + passwordFlag + ": other users of this machine could read it in the process list",
		Hint: "leave it out to be asked, or use --password-file, --password-command or " + envPassword,
	}}, passwordFlag, "", "")
	f.Hidden = true
	f.NoOptDefVal = " "
}

// Session checks the flags and turns them into options of a session. What can be checked without
// the network is checked here.
func (c *Connection) Session(con *Console, log *slog.Logger) (session.Options, error) {
	if err := c.check(); err != nil {
		return session.Options{}, err
	}
	password, err := c.password(con)
	if err != nil {
		return session.Options{}, err
	}
	if c.Insecure && c.TLS != string(session.TLSNone) {
		con.Notef("warning: the server's certificate is not checked (--insecure-skip-verify)")
	}
	return session.Options{
		Host: c.Host, Port: c.Port, TLS: session.TLSMode(c.TLS), RootCAs: c.CACert, Insecure: c.Insecure,
		User: c.User, Password: password, Auth: c.Auth, Timeout: c.Timeout, Log: log, Program: Program(),
	}, nil
}

func (c *Connection) check() error {
	switch {
	case c.Host == "":
		return &UsageError{
			Text: "--host is missing", Hint: "give the name of the IMAP server: --host mail.example.com",
		}
	case strings.ContainsAny(c.Host, "/@ ") || hasControl(c.Host):
		return usagef("--host %q is no host name: give the name alone, such as mail.example.com", c.Host)
	case strings.Contains(c.Host, ":") && net.ParseIP(c.Host) == nil:
		return usagef("--host %q: give the port with --port", c.Host)
	case c.User == "":
		return &UsageError{Text: "--user is missing", Hint: "give the account's name: --user taro@example.com"}
	case hasControl(c.User):
		return usagef("--user %q holds control characters", c.User)
	case c.Port < 0 || c.Port > 65535:
		return usagef("--port %d: want 1 to 65535", c.Port)
	case c.Timeout < 0:
		return usagef("--timeout %v: want a positive time", c.Timeout)
	case c.TLS == string(session.TLSNone) && !loopback(c.Host):
		return &UsageError{
			Text: "--tls none works only to this machine itself: mail and password could be read on the way",
			Hint: "use --tls implicit (port 993) or --tls starttls (port 143)",
		}
	}
	return nil
}

func hasControl(s string) bool { return strings.ContainsFunc(s, unicode.IsControl) }

// loopback reports whether a host is this machine, by its name or address alone.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

package cli

import (
	"fmt"
	"log/slog"
	"net"
	"os"
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
	Pins            []string
	LegacyTLS       bool
	Insecure        bool
	Auth            string
	AuthUser        string
	PasswordFile    string
	PasswordCommand string
	Timeout         time.Duration
	Compress        string
	Trace           string
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
	fs.StringArrayVar(&c.Pins, "tls-pin", nil,
		"trust the server's certificate by this `FINGERPRINT`, sha256:HEX, and no other, whoever signed it (repeatable)")
	fs.BoolVar(&c.LegacyTLS, "tls-legacy", false,
		"for old servers: also TLS 1.0 and 1.1, RSA key exchange and old ciphers, which can be broken")
	fs.BoolVar(&c.Insecure, "insecure-skip-verify", false,
		"do not check the server's certificate: anybody on the way can read mail and password")
	AddChoice(fs, &c.Auth, "auth", "way to sign in; auto takes the best that works", "auto", "plain", "login", "cram-md5")
	fs.StringVar(&c.AuthUser, "authuser", "",
		"sign in with the password of `NAME`, an administrator, for --user (only by PLAIN)")
	fs.StringVar(&c.PasswordFile, "password-file", "",
		"read the password from the first line of `FILE`, which only you may read")
	fs.StringVar(&c.PasswordCommand, "password-command", "",
		"read the password from the first line that `COMMAND` prints (run by sh -c)")
	fs.DurationVar(&c.Timeout, "timeout", 0,
		"give up on a server that is silent for this `TIME` while it owes an answer (default 5m)")
	AddChoice(fs, &c.Compress, "compress", "compress what goes over the line, if the server offers it (COMPRESS=DEFLATE); "+
		"auto: unless it is near", string(session.CompressAuto), string(session.CompressOn), string(session.CompressOff))
	fs.StringVar(&c.Trace, "trace", "",
		"add every line that goes over the line to `FILE`, without passwords and without mail")
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
	pins, err := c.pins()
	if err != nil {
		return session.Options{}, err
	}
	password, err := c.password(con)
	if err != nil {
		return session.Options{}, err
	}
	trace, err := c.openTrace(con)
	if err != nil {
		return session.Options{}, err
	}
	c.warn(con, log)
	return session.Options{
		Host: c.Host, Port: c.Port, TLS: session.TLSMode(c.TLS), RootCAs: c.CACert, Pins: pins,
		LegacyTLS: c.LegacyTLS, Insecure: c.Insecure, User: c.User, AuthUser: c.AuthUser, Password: password, Auth: c.Auth,
		Compress: session.Compress(c.Compress), Timeout: c.Timeout,
		Shared: session.NewShared(), Trace: trace, Log: log, Program: Program(),
	}, nil
}

// warn says what the user gave up by the flags, each time.
func (c *Connection) warn(con *Console, log *slog.Logger) {
	if c.TLS == string(session.TLSNone) {
		return
	}
	switch {
	case len(c.Pins) > 0:
		log.Info("the server's certificate is known by its fingerprint alone (--tls-pin)")
	case c.Insecure:
		con.Notef("warning: the server's certificate is not checked (--insecure-skip-verify)")
	}
	if c.LegacyTLS {
		con.Notef("warning: old TLS versions and ciphers are allowed (--tls-legacy): " +
			"whoever is on the way may be able to read mail and password")
	}
}

func (c *Connection) pins() (pins []session.Pin, err error) {
	for _, text := range c.Pins {
		pin, err := session.ParsePin(text)
		if err != nil {
			return nil, &UsageError{
				Text: fmt.Sprintf("--tls-pin: %v", err),
				Hint: "openssl s_client -connect HOST:993 </dev/null | openssl x509 -noout -fingerprint -sha256   (shows it)",
			}
		}
		pins = append(pins, pin)
	}
	return pins, nil
}

// openTrace opens the file of --trace, which ends with the process: every line is written at once.
func (c *Connection) openTrace(con *Console) (*session.Trace, error) {
	if c.Trace == "" {
		return nil, nil
	}
	f, err := os.OpenFile(c.Trace, os.O_WRONLY|os.O_CREATE|os.O_APPEND, logMode)
	if err != nil {
		return nil, &UsageError{Text: fmt.Sprintf("--trace: %v", err)}
	}
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&^logMode != 0 {
		_ = f.Close() // nothing was written
		return nil, &UsageError{
			Text: fmt.Sprintf("--trace: %s is open to other users (mode %04o)", c.Trace, info.Mode().Perm()),
			Hint: "run: chmod 600 " + c.Trace,
		}
	}
	return session.NewTrace(f, func(err error) { con.Notef("warning: the trace ends here: %v", err) }), nil
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
	case hasControl(c.AuthUser):
		return usagef("--authuser %q holds control characters", c.AuthUser)
	case c.AuthUser != "" && c.Auth != "" && c.Auth != "auto" && c.Auth != "plain":
		return usagef("--authuser works only with --auth plain or auto: %s cannot sign in for somebody else", c.Auth)
	case c.Insecure && len(c.Pins) > 0:
		return usagef("--tls-pin and --insecure-skip-verify contradict each other: give one of them")
	case c.TLS == string(session.TLSNone) && len(c.Pins) > 0:
		return usagef("--tls-pin has no meaning with --tls none: no certificate is shown")
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

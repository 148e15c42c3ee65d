package imaptest

import "strings"

func enterQuirks() []Quirk {
	const plain = "IMAP4rev1 AUTH=PLAIN"
	return []Quirk{
		{
			ID: "AUTH-110", Does: "No CAPABILITY in the greeting or after login; base64 in brackets in the greeting",
			greeting: "* OK [RgBSADIAUAAwAA==] The Microsoft Exchange IMAP4 service is ready. [RgBSAD==]\r\n",
		},
		{ID: "AUTH-111", Does: "Capabilities come untagged before the tagged OK of the login", command: func(c *quirkConn, name, _ string) bool {
			if name == "AUTHENTICATE" {
				c.say("* CAPABILITY IMAP4rev1 UNSELECT ID NAMESPACE\r\n")
			}
			return false
		}},
		{ID: "AUTH-112", Does: `Odd capability tokens: "LITERAL +", IMAPSIEVE=sieve://…, quotes`, caps: plain + ` LITERAL + IMAPSIEVE=sieve://x:4190 "x" ID`},
		{ID: "AUTH-113", Does: "LOGINDISABLED and no usable STARTTLS", NoEntry: true, caps: "IMAP4rev1 LOGINDISABLED", command: refuseLogin("PRIVACYREQUIRED", "Cleartext login is disabled")},
		{ID: "AUTH-114", Does: `No SASL-IR, "+" without a space, LOGIN refused`, caps: plain, command: func(c *quirkConn, name, _ string) bool {
			switch name {
			case "LOGIN":
				c.status("NO", "", "LOGIN is not for you")
				return true
			case "AUTHENTICATE":
				c.say("+\r\n")
				_, _ = c.r.ReadString('\n')
				c.ok("in")
				return true
			}
			return false
		}},
		{ID: "AUTH-115", Does: "AUTH=PLAIN is advertised but always fails; LOGIN works", command: func(c *quirkConn, name, _ string) bool {
			if name != "AUTHENTICATE" {
				return false
			}
			c.status("NO", "", "AUTHENTICATE command unknown or arguments invalid")
			return true
		}},
		{ID: "AUTH-118", Does: "Login OK, then every command: BAD User is authenticated but not connected", NoEntry: true, command: func(c *quirkConn, name, _ string) bool {
			if name == "AUTHENTICATE" || name == "LOGIN" || name == "CAPABILITY" || name == "LOGOUT" {
				return false
			}
			c.status("BAD", "", "User is authenticated but not connected.")
			return true
		}},
		{ID: "AUTH-119", Does: "Temporary failure at the first two logins", command: func(c *quirkConn, name, _ string) bool {
			if name != "AUTHENTICATE" || c.s.times("login") > 2 {
				return false
			}
			c.say("+ \r\n")
			_, _ = c.r.ReadString('\n')
			c.status("NO", "UNAVAILABLE", "Temporary authentication failure")
			return true
		}},
		{ID: "AUTH-120", Does: "A response code that is no atom in the tagged OK of the login", command: func(c *quirkConn, name, _ string) bool {
			if name != "AUTHENTICATE" {
				return false
			}
			c.say("+ \r\n")
			_, _ = c.r.ReadString('\n')
			c.ok(`[Error="ProxyNotAuthenticated WrongServerException" Proxy=x.example:1993:SSL] AUTHENTICATE completed.`)
			return true
		}},
		{ID: "AUTH-121", Does: "BYE [ALERT] greeting on the first two connections, then service", command: nil, greeting: greetTwice},
		{ID: "AUTH-123", Does: "ENABLE without an untagged ENABLED", caps: plain + " ENABLE", command: func(c *quirkConn, name, _ string) bool {
			if name != "ENABLE" {
				return false
			}
			c.ok("ENABLE completed")
			return true
		}},
		{ID: "AUTH-126", Does: "One connection for each address: BYE to any further one, in place of the greeting", greeting: oneOnly},
	}
}

// greetTwice and oneOnly stand for greetings that depend on the connections before.
const (
	greetTwice = "greet twice"
	oneOnly    = "one only"
)

// greet gives the greeting of a connection. end: it is over then.
func (c *quirkConn) greet() (text string, end bool) {
	const busy = "* BYE [ALERT] Too many connections from your IP\r\n"
	switch text = c.q.greeting; {
	case text == "":
		return "* OK ready\r\n", false
	case text == greetTwice && c.s.times("greeting") <= 2, text == oneOnly && c.s.open() > 1:
		return busy, true
	case strings.HasPrefix(text, "*"):
		return text, false
	}
	return "* OK ready\r\n", false
}

func refuseLogin(code, text string) func(*quirkConn, string, string) bool {
	return func(c *quirkConn, name, _ string) bool {
		if name != "LOGIN" && name != "AUTHENTICATE" {
			return false
		}
		c.status("NO", code, text)
		return true
	}
}

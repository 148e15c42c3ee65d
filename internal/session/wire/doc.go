// Package wire is the layer between the IMAP client and the network: a net.Conn that follows both
// streams of an IMAP connection (RFC 9051, section 2.2) above TLS.
//
// The client above it, go-imap, sets absolute deadlines, forgets what the server said in plain
// words, and ends the connection over answers that real servers give. All of that is mended here and
// nowhere else:
//
//   - Conn.Read and Conn.Write ignore the client's deadlines and keep their own: an answer is owed
//     and no octet moves in either direction for Options.Timeout.
//   - The first cause of a lost connection is kept (Conn.Cause), and so are the server's last words.
//   - Rules repair single answers before the client reads them. A rule is one small named function. The
//     ids in their comments (FETCH-48) are those of ../shared/research/quirks.md.
//   - Mailbox names that the client cannot say reach it as an Alias, and the server in their own octets.
//   - A Call sends a command past the client and takes its answers off the stream.
//
// Literals are never looked at and never changed, but for mailbox names. They pass in bulk.
package wire

// Package imaptest has mail servers for tests and for the demo: an in-memory IMAP server with
// switchable faults (Server), a real Dovecot on loopback ports (StartDovecot), and the means to
// compare what two accounts hold (Snapshot, Diff).
//
// Nothing here survives the process: the in-memory server forgets, and Dovecot's files belong to the
// directory the caller gave.
package imaptest

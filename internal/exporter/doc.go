// Package exporter copies every mailbox of an IMAP account into an archive.
//
// The truth is the set of UIDs in the archive, mailbox by mailbox and epoch by epoch; no highest UID
// and no date is ever believed. A run lists a mailbox, asks for what the archive lacks, and counts:
//
//	listed = archived before + archived now + vanished + refused
//
// Several workers talk to the server, each over a connection of its own (crew, worker, link); the goroutine that called
// Run alone uses the archive (store); a bounded number of messages is between them. A worker copies mailboxes (pass) or
// helps to fetch the messages of one (transfer). A message is handed over only when the server has sent all octets it had
// announced and has gone on in a sensible way behind them.
//
// After a crash, or when a run is stopped, everything committed is there and the next run asks for
// the rest. The source is opened with EXAMINE and read with BODY.PEEK[], so nothing there changes.
package exporter

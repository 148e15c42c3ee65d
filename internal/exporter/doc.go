// Package exporter copies every mailbox of an IMAP account into an archive.
//
// The truth is the set of UIDs in the archive, mailbox by mailbox and epoch by epoch; no highest UID
// and no date is ever believed. A run lists a mailbox, asks for what the archive lacks, and counts:
//
//	listed = archived before + archived now + vanished + refused
//
// One goroutine talks to the server, another one alone writes the archive; a bounded number of
// messages is between them. A message is handed over only when the server has sent all octets it had
// announced and has gone on in a sensible way behind them.
//
// After a crash, or when a run is stopped, everything committed is there and the next run asks for
// the rest. The source is opened with EXAMINE and read with BODY.PEEK[], so nothing there changes.
package exporter

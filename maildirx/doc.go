// Package maildirx is what go-maildir lacks: Maildir++ mailbox names, message file names that never
// change, flags and keywords as letters, the files Dovecot keeps beside the mail, durable delivery, and
// reading a tree that somebody else wrote. The forms are those of the archive's FORMAT.md, "Inside the
// tar"; Dovecot 2.3 reads them (with its listescape plugin, if a level holds a dot or a slash).
//
// After a crash, power cut included: every file in a cur directory is whole, and what Deliver or
// Batch.Commit returned nil for is there. A delivery that was cut short leaves a file in tmp, which no
// reader looks at and the next delivery of the same message replaces.
package maildirx

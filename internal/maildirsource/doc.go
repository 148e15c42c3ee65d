// Package maildirsource reads mail off a Maildir tree on the disk as if an IMAP server had it: for who has a shell
// where the mail is. A Source has the methods of session.Source, with the same promises and errors.
//
// It reads what Dovecot (Maildir++ and LAYOUT=fs), Courier, mbsync, OfflineIMAP and mutt make, without being told
// which it is. The tree is never changed: nothing is written, renamed, locked or created in it, and no symbolic link
// is followed. Mail programs may change it meanwhile.
//
// A message's octets are those an IMAP server sends for the file: each LF that has no CR before it becomes CRLF.
// A file that Dovecot has compressed (gzip, bzip2, zstd) is decompressed. INTERNALDATE is the file's time of
// modification, in whole seconds.
package maildirsource

package archive

import "fmt"

// readme is README.txt: what somebody needs who has the archive and nothing else.
func readme(info Info) []byte {
	return fmt.Appendf(nil, `This directory is an archive of electronic mail, made by Mailark.

  account:  %s on %s
  begun:    %s
  format:   version %d, archive %s

The mail is in segments/*.tar.zst. Each of these files is an ordinary tar archive, compressed with Zstandard
(RFC 8878). To get all the mail out with standard programs (zstd and GNU tar):

    zstd -dc segments/*.tar.zst | tar -x --ignore-zeros

This makes a directory Maildir, a Maildir++ tree: one file a message, exactly as the mail server sent it. Mail
programs such as mutt, notmuch and Dovecot, and Python's mailbox module, read it. A file's time is the time the
message arrived. The letters at the end of a file name are flags: S seen, R answered, F flagged, D draft,
T deleted; small letters are keywords, listed in the file dovecot-keywords beside them. Directory names are
the mailboxes' names in modified UTF-7 (RFC 3501), levels separated by dots. What a name cannot hold is written as
a backslash and two hexadecimal digits.

Unpack all segments in the order of their numbers: a message that was in several mailboxes is stored once,
and its other places are hard links to it. The tree holds everything ever copied, deleted mail too.

Should tar complain that it cannot make a hard link: a damaged part of the archive was put aside there (its octets are
in the directory damaged). tar goes on, and what could be had again comes later.

To check that the files are undamaged:

    sha256sum -c SHA256SUMS

What else is known of each message (original date with time zone, all flags, SHA-256) is in the catalog, one
JSON object a line:

    zstd -dc catalog.jsonl.zst | less

The SHA-256 there is that of the message file. Records of the kind "message" say where it is, "flags" and "gone" what
became of it later, "refused" what the server would not give.

Do not change or delete any file here; a copy of the whole directory is a complete backup.
`, info.Source.User, info.Source.Host, info.Created.Format("2006-01-02 15:04:05 UTC"), info.Version, info.ID)
}

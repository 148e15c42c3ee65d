package archive

import "fmt"

// readme is README.txt: what somebody needs who has the archive and nothing else.
func readme(info Info) []byte {
	return fmt.Appendf(nil, readmeText, info.Source.User, info.Source.Host, info.Created.Format("2006-01-02 15:04:05 UTC"),
		info.Version, info.ID)
}

// readmeText: its lines of four blanks are commands, block by block; a test runs them as they stand.
const readmeText = `This directory is an archive of electronic mail, made by the program Mailark.

  account:  %s on %s
  begun:    %s
  format:   version %d, archive %s

Nothing but zstd (RFC 8878), tar and sha256sum is needed to read it, and jq, or any reader of JSON, for
what is known about the mail. The lines that begin with four blanks are commands for a Unix shell, to be run
in this directory; change names and numbers as you need.

1. ALL THE MAIL, AS FILES

    mkdir ../mail-tree
    zstd -dc segments/*.tar.zst | tar -x --ignore-zeros -C ../mail-tree

(GNU tar or bsdtar.) It makes ../mail-tree/Maildir, a Maildir++ tree: a directory for each mailbox, and in its
"cur" a file for each message, exactly as the mail server sent it. Mutt, notmuch, Dovecot and Python's module
mailbox read such a tree. It holds all mail ever copied, also what was deleted later.

A file's time is when the message arrived. Its name is TIME.mMAILBOXeEPOCHuUID.ARCHIVE,S=SIZE:2,FLAGS: S seen,
R answered, F flagged, D draft, T deleted; small letters are keywords, listed in dovecot-keywords beside "cur".
dovecot-uidlist has the UIDs. A mailbox's directory is its name in modified UTF-7 (RFC 3501), levels
separated by dots, with \2e for a dot, \2f for a slash and \5c for a backslash in a level.

Unpack the segments in the order of their numbers: a message that was in several mailboxes is stored once;
its other files are hard links to that one and have its time.

2. IS EVERYTHING UNDAMAGED?

    sha256sum -c SHA256SUMS
    zstd -t segments/*.tar.zst catalog.jsonl.zst

3. WHAT IS KNOWN ABOUT THE MAIL

It is in the catalog, one JSON object a line; later lines add to earlier ones; what would be 0 or empty is left
out. All mailboxes, and the messages of mailbox 1 with UID, date, size and SHA-256 of the file:

    zstd -dc catalog.jsonl.zst | jq -r 'select(.t == "mailbox") | "\(.id) \(.dir) \(.path | join("/"))"'
    zstd -dc catalog.jsonl.zst | jq -r 'select(.t == "message" and .mailbox == 1) | [.uid, .date, .size, .sha256] | @tsv'

One message: its flags (of several lines the last counts), its file, and the SHA-256 of that:

    zstd -dc catalog.jsonl.zst | jq -c 'select(.mailbox == 1 and .uid == 1) | {t, epoch, uid, flags}'
    find ../mail-tree -name '*.m1e1u1.*'
    find ../mail-tree -name '*.m1e1u1.*' -exec cat {} + | sha256sum

A number "epoch" is one life of a mailbox on the server: when all its UIDs changed, a new one began. A message with
"file" has no file of its own, but that of [epoch, UID]. Lines of the kind "gone" list UIDs that have left the
server, "refused" what the server would not give, "aside" frames that were damaged and have been given up.

4. ONE MESSAGE WITHOUT UNPACKING EVERYTHING

"at" says where it is: segment, octet at which its frame begins, octet in the decompressed frame. This writes
the message to ../message.eml; the two SHA-256 must be equal:

    zstd -dc catalog.jsonl.zst |
      jq -r 'select(.t == "message" and .mailbox == 1 and .uid == 1) | "\(.at | join(" ")) \(.size // 0) \(.sha256)"' |
      while read segment frame position size sum; do
        tail -c +$((frame + 1)) segments/$(printf %%06d $segment).tar.zst | zstd -dc | tail -c +$((position + 1)) |
          head -c $size >../message.eml
        echo $sum; sha256sum <../message.eml
      done

5. IF SOMETHING IS DAMAGED

Every segment, and every frame in it, can be read without the others. (If it is the catalog: copies of its frames lie
in the segments, in skippable frames that begin with 5A 2A 4D 18.) The segments one by one, as far as each goes:

    for s in segments/*.tar.zst; do zstd -dc $s | tar -x --ignore-zeros -C ../mail-tree; done

Every frame by itself, past those that are damaged:

    zstd -dc catalog.jsonl.zst | jq -r 'select(.t == "frame") | "\(.segment) \(.offset // 0) \(.length)"' |
      while read segment offset length; do
        tail -c +$((offset + 1)) segments/$(printf %%06d $segment).tar.zst | head -c $length | zstd -dc |
          tar -x --ignore-zeros -C ../mail-tree
      done

Do not change or delete any file here. A copy of the whole directory is a complete backup.
`

// Package importer uploads the mail of an archive to an IMAP server, each message exactly once.
//
// What is done is known from a ledger (ledger.go), not from the target and not from the archive,
// which is only read: before a message is sent, the intent is durable on the disk; after the server has
// answered, the result follows. What is still to do is a question about octets: of every SHA-256 a
// mailbox wants so many copies, and so many are in the ledger. UIDs play no part in it, so a new
// UIDVALIDITY in the archive uploads nothing.
//
// A server that refuses a message is believed only if it refuses it again after it has taken others;
// before that nothing is held against the message in later runs.
//
// After a crash, a lost connection or an answer nobody understands, an intent without a result is in
// doubt. It is looked for in the target (resolve.go) before anything is sent again; if the target cannot be
// read at that point, lists less than it has, or shows something that may be the message changed, the
// message stays in doubt and is not sent. Hence: a message the server has stored is never
// sent again, whether its answer came or not, and a message it has not stored is never counted as done.
// Mail that was in the target before, by another tool or because the ledger was lost, is adopted
// (adopt.go) after its octets have been compared.
//
// What the importer cannot know: whether somebody else adds or removes mail in the target while it
// runs. Mail removed there after its upload is not uploaded again; the summary says how much is missing,
// and a run at the end of which its own mail is missing is not complete.
package importer

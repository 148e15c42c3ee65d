// Package session speaks IMAP with one account over one connection: it dials, secures the connection,
// signs in, and then reads (Source) or reads and adds mail (Target).
//
// A Source has no method that changes the server: it selects with EXAMINE and fetches with BODY.PEEK.
//
// Every error that comes from the server or the connection is an *Error. Its Scope says what it
// condemns (the message, the mailbox, the connection) and its Class what to do about it. Nothing is
// retried here and no connection is made again: the caller knows what is done already, and goes on
// from there after any loss, also after a crash. A message whose APPEND got no answer is in doubt; see
// Pending.
//
// The methods of one connection are to be called one after the other; only Pending.Wait may be called
// at any time. Callbacks must not call back into their connection.
package session

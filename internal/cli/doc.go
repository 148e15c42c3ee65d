// Package cli is what the programs share towards the user: flags and their environment variables,
// passwords, signals, progress, log, exit codes and the wording of errors.
//
// The rules of the user interface. Data goes to stdout and nothing else does; every word meant for
// people while a program works goes to stderr. A line on stderr starts with the program's name and
// a colon, without capital or full stop. What is wrong comes first, what to do about it comes on a
// line of its own. Text of a server or of a message is never written raw: control characters are
// shown, not obeyed. Bars and colour are for terminals only.
//
// Nothing here touches mail, so a crash here costs nothing: the first signal asks the program to
// finish what is under way, the second ends it at once, and both are safe because the archive and
// the ledger are.
package cli

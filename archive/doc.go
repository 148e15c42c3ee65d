// Package archive is the Mailark archive, format version 1 (FORMAT.md): segments of mail, an
// append-only catalog, one writer, any number of readers.
//
// After a crash at any instant, power cut included: every message in the catalog is whole in a
// segment. Opening the archive for writing finishes or drops the one commit that was under way;
// nothing committed earlier is touched.
package archive

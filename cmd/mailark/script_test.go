package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"mailark/archive"
	"mailark/internal/progress"
	"mailark/internal/scripttest"
	"mailark/internal/spool"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"mailark": main})
}

func TestScripts(t *testing.T) {
	scripttest.Run(t, map[string]scripttest.Command{
		"archive":  makeArchive,
		"progress": writeProgress, "lock": lockArchive,
		"hurt":  hurtMessage,
		"halve": halve,
	})
}

// makeArchive makes an archive: archive DIR [unfinished|unbegun].
func makeArchive(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: archive DIR [unfinished|unbegun]")
	}
	b := &builder{ts: ts, date: time.Date(2023, 4, 1, 9, 0, 0, 0, time.FixedZone("", 9*3600))}
	src := archive.Source{Host: "mail.example.ac.jp", User: "taro"}
	var err error
	b.w, err = archive.Create(ts.MkAbs(args[0]), src, &archive.Options{Program: "mailark test"})
	ts.Check(err)
	if len(args) > 1 && args[1] == "unbegun" {
		ts.Check(b.w.Close())
		return
	}
	ts.Check(b.w.BeginRun(src))
	inbox := b.mailbox(1000, "INBOX")
	b.add(inbox, 1, "Subject: hello\r\n\r\nworld\r\n", `\Seen`)
	ts.Check(b.w.Commit()) // a frame of its own, so that damage to it hurts no other message
	b.add(inbox, 2, "Subject: =?ISO-2022-JP?B?GyRCRnxLXDhsGyhC?=\r\n\r\nNUL \x00 and bare LF\n", `\Flagged`, "$Work")
	b.add(inbox, 7, "Subject: escape \x1b[31m\r\n\r\n\xff\r\n")
	gone := b.add(inbox, 8, "Subject: deleted on the server\r\n\r\n")
	ts.Check(b.w.SetGone(true, gone))
	sent := b.mailbox(1001, "Sent", `\Sent`)
	b.add(sent, 1, "Subject: hello\r\n\r\nworld\r\n", `\Seen`)
	b.mailbox(1002, "仕事")
	b.box("Folders only", `\Noselect`)
	if len(args) > 1 {
		refused := archive.Key{Mailbox: inbox.Mailbox, Epoch: inbox.Epoch, UID: 9}
		ts.Check(b.w.Refuse(refused, "[SERVERBUG] cannot read \x1b"))
		b.box("Never copied")
		ts.Check(b.w.Commit())
		ts.Check(b.w.Close())
		return
	}
	ts.Check(b.w.EndRun(0, "complete"))
	ts.Check(b.w.Close())
}

type builder struct {
	ts   *testscript.TestScript
	w    *archive.Writer
	date time.Time
}

func (b *builder) box(name string, attrs ...string) *archive.Mailbox {
	m, err := b.w.SetMailbox(archive.MailboxInfo{
		Path: []string{name}, Raw: name, Delim: "/", Attrs: attrs, Subscribed: true,
	})
	b.ts.Check(err)
	return m
}

// mailbox makes a mailbox that was copied whole.
func (b *builder) mailbox(uidValidity uint32, name string, attrs ...string) archive.Key {
	m := b.box(name, attrs...)
	epoch, err := b.w.OpenEpoch(m.ID, uidValidity)
	b.ts.Check(err)
	k := archive.Key{Mailbox: m.ID, Epoch: epoch.N}
	b.ts.Check(b.w.SetState(k, archive.State{Time: b.date, UIDNext: 10}))
	return k
}

func (b *builder) add(k archive.Key, uid uint32, octets string, flags ...string) archive.Key {
	sp := spool.New(b.w.SpoolDir())
	_, err := fmt.Fprint(sp, octets)
	b.ts.Check(err)
	k.UID = uid
	b.date = b.date.Add(time.Hour)
	_, err = b.w.Add(context.Background(), k, b.date, flags, sp)
	b.ts.Check(err)
	b.ts.Check(sp.Close())
	return k
}

// lockArchive holds an archive's lock until the script ends: lock DIR.
func lockArchive(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: lock DIR")
	}
	w, err := archive.OpenWriter(ts.MkAbs(args[0]), nil)
	ts.Check(err)
	ts.Defer(func() { _ = w.Close() })
}

// writeProgress makes the file in which a run says where it stands: progress FILE RUN.
func writeProgress(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: progress FILE RUN")
	}
	now := time.Now().Add(-time.Minute)
	f := progress.Create(ts.MkAbs(args[0]), args[1], "mailark test", func() time.Time { return now }, slog.New(slog.DiscardHandler))
	now = time.Now()
	f.Tell(progress.State{
		What: "仕事/会議", Mailboxes: 1, MailboxesTotal: 4, Messages: 1234, MessagesTotal: 3000, Octets: 5e6, OctetsTotal: 9e6, Growing: true,
	})
}

// halve cuts a file in the middle: halve FILE.
func halve(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: halve FILE")
	}
	path := ts.MkAbs(args[0])
	info, err := os.Stat(path)
	ts.Check(err)
	ts.Check(os.Chmod(path, 0o600))
	ts.Check(os.Truncate(path, info.Size()/2))
}

// hurtMessage flips a bit in the magic number of the frame that holds a message of the first mailbox: hurt DIR UID.
func hurtMessage(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: hurt DIR UID")
	}
	r, err := archive.Open(ts.MkAbs(args[0]), nil)
	ts.Check(err)
	defer func() { _ = r.Close() }()
	uid, err := strconv.ParseUint(args[1], 10, 32)
	ts.Check(err)
	msg := r.Message(archive.Key{Mailbox: 1, Epoch: 1, UID: uint32(uid)})
	path := filepath.Join(ts.MkAbs(args[0]), "segments", fmt.Sprintf("%06d.tar.zst", msg.Place.Segment))
	scripttest.Flip(ts, path, msg.Place.Frame)
}

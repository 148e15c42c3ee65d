package imaptest

import (
	"fmt"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

func TestCondStore(t *testing.T) {
	a := sample(t, ServerOptions{})
	a.AddMailbox(Mailbox{Name: "uncounted", NoModSeq: true})
	a.SetFlags("INBOX", 2, `\Flagged`)
	a.Expunge("INBOX", 1)
	cl, err := imapclient.DialInsecure(a.server.Addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cl.Close() }()
	if err := cl.Login("user", "pw").Wait(); err != nil {
		t.Fatal(err)
	}
	items := &imap.StatusOptions{NumMessages: true, HighestModSeq: true}
	list, err := cl.List("", "*", &imap.ListOptions{ReturnStatus: items}).Collect()
	if err != nil || len(list) != 5 {
		t.Fatal(list, err)
	}
	got := ""
	for _, m := range list {
		if m.Status != nil {
			got += fmt.Sprint(m.Mailbox, " ", *m.Status.NumMessages, " ", m.Status.HighestModSeq, ", ")
		}
	}
	const want = "INBOX 2 5, Sent 1 2, 仕事 0 1, uncounted 0 0, "
	if got != want {
		t.Errorf("got %s, not %s", got, want)
	}
	sel, err := cl.Select("INBOX", &imap.SelectOptions{ReadOnly: true, CondStore: true}).Wait()
	if err != nil || sel.HighestModSeq != 5 || sel.UIDNext != 4 || len(sel.PermanentFlags) != 7 {
		t.Errorf("%+v, %v", sel, err)
	}
	for since, want := range map[uint64]int{1: 2, 4: 1, 5: 0} {
		metas, err := cl.Fetch(imap.UIDSet{{Start: 1}}, &imap.FetchOptions{Flags: true, ChangedSince: since}).Collect()
		if err != nil || len(metas) != want {
			t.Errorf("since %d: %d messages, %v", since, len(metas), err)
		}
	}
	found, err := cl.UIDSearch(&imap.SearchCriteria{}, &imap.SearchOptions{ReturnAll: true}).Wait()
	if err != nil || fmt.Sprint(found.All) != "2:3" {
		t.Errorf("found %v, %v", found, err)
	}
	sel, err = cl.Select("uncounted", &imap.SelectOptions{ReadOnly: true}).Wait()
	if err != nil || sel.HighestModSeq != 0 {
		t.Errorf("%+v, %v", sel, err)
	}
	if err := cl.Fetch(imap.UIDSet{{Start: 1}}, &imap.FetchOptions{Flags: true, ChangedSince: 1}).Close(); err == nil {
		t.Error("changes are told though they are not counted")
	}
}

package main

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"mime"
	"strings"
	"time"

	"golang.org/x/text/encoding/japanese"
)

// seed makes the sample mailbox the same on every run.
const seed = 20260331

// sampleMailbox is a mailbox of the made-up account.
type sampleMailbox struct {
	name       string // decoded, levels joined by "/"
	role       string // SPECIAL-USE attribute
	subscribed bool
	msgs       []sampleMessage
}

// sampleMessage is one message with what IMAP knows about it.
type sampleMessage struct {
	octets []byte
	date   time.Time
	flags  []string
}

// sample makes the account of a student: some 300 messages in a dozen mailboxes.
func sample() []sampleMailbox {
	g := &generator{rand: rand.New(rand.NewPCG(seed, seed))}
	boxes := []sampleMailbox{
		{name: "INBOX", msgs: g.many(110, g.any)},
		{name: "Sent", role: `\Sent`, msgs: g.many(45, g.japanese)},
		{name: "Drafts", role: `\Drafts`, msgs: g.flagged(g.many(4, g.plain), `\Draft`)},
		{name: "Trash", role: `\Trash`, msgs: g.flagged(g.many(12, g.plain), `\Deleted`)},
		{name: "Junk", role: `\Junk`, msgs: g.many(9, g.html)},
		{name: "Archive/2024", msgs: g.many(30, g.any)},
		{name: "Archive/2025.spring", msgs: g.many(20, g.any)},
		{name: "大学/レポート", msgs: g.many(18, g.attachment)},
		{name: "大学/研究室 & ゼミ", msgs: g.many(22, g.japanese)},
		{name: "写真📷", msgs: g.many(6, g.attachment)},
		{name: "まだ空", msgs: nil},
		{name: "Odd", msgs: g.odd()},
	}
	// The same octets in several mailboxes, as copies and labels leave them.
	boxes[5].msgs = append(boxes[5].msgs, boxes[0].msgs[:15]...)
	boxes[7].msgs = append(boxes[7].msgs, boxes[0].msgs[40:48]...)
	for i := range boxes {
		boxes[i].subscribed = boxes[i].role != `\Junk`
	}
	return boxes
}

type generator struct {
	rand *rand.Rand
	n    int
}

func (g *generator) many(n int, build func() []byte) []sampleMessage {
	msgs := make([]sampleMessage, n)
	for i := range msgs {
		msgs[i] = sampleMessage{octets: build(), date: g.date(), flags: g.flags()}
	}
	return msgs
}

func (g *generator) flagged(msgs []sampleMessage, flag string) []sampleMessage {
	for i := range msgs {
		msgs[i].flags = append(msgs[i].flags, flag)
	}
	return msgs
}

func (g *generator) date() time.Time {
	zones := []int{9 * 3600, 9 * 3600, 0, -5 * 3600, 5*3600 + 1800}
	zone := time.FixedZone("", zones[g.rand.IntN(len(zones))])
	start := time.Date(2022, 4, 1, 8, 0, 0, 0, zone)
	return start.Add(time.Duration(g.rand.IntN(4*365*24*3600)) * time.Second)
}

func (g *generator) flags() []string {
	choices := [][]string{
		nil, {`\Seen`}, {`\Seen`}, {`\Seen`, `\Answered`}, {`\Flagged`}, {`\Seen`, `\Flagged`, `\Answered`},
		{`\Seen`, `$Forwarded`}, {`\Seen`, `$Label1`, `NonJunk`},
	}
	return append([]string(nil), choices[g.rand.IntN(len(choices))]...)
}

func (g *generator) any() []byte {
	builders := []func() []byte{g.plain, g.japanese, g.japanese, g.html, g.attachment}
	return builders[g.rand.IntN(len(builders))]()
}

// header writes the fields every message has. Lines end with CRLF, as IMAP wants them.
func (g *generator) header(subject string, more ...string) *bytes.Buffer {
	g.n++
	var b bytes.Buffer
	fmt.Fprintf(&b, "From: %s\r\nTo: taro@old.example.ac.jp\r\nSubject: %s\r\n", g.pick(senders()), subject)
	fmt.Fprintf(&b, "Date: %s\r\nMessage-ID: <%d.%08x@example.ac.jp>\r\n",
		g.date().Format(time.RFC1123Z), g.n, g.rand.Uint32())
	for _, field := range append(more, "MIME-Version: 1.0") {
		b.WriteString(field + "\r\n")
	}
	b.WriteString("\r\n")
	return &b
}

func (g *generator) pick(list []string) string { return list[g.rand.IntN(len(list))] }

func senders() []string {
	return []string{
		"Hanako Suzuki <hanako@lab.example.ac.jp>", "library@example.ac.jp", "\"O'Brien, Pat\" <pat@example.org>",
		"=?UTF-8?B?5bGx55Sw?= <yamada@example.co.jp>", "no-reply@shop.example.com",
	}
}

func (g *generator) plain() []byte {
	subjects := []string{"Lunch on Friday?", "Re: your question", "Library: books due", "Fwd: timetable", ""}
	b := g.header(g.pick(subjects), "Content-Type: text/plain; charset=us-ascii")
	words := strings.Fields("the report is nearly done and will be in your hands on Monday if all goes well")
	for range 3 + g.rand.IntN(30) {
		for range 5 + g.rand.IntN(8) {
			b.WriteString(g.pick(words) + " ")
		}
		b.WriteString("\r\n")
	}
	return b.Bytes()
}

// japanese is ISO-2022-JP, the way mail was written in Japan for thirty years.
func (g *generator) japanese() []byte {
	subject := g.pick([]string{"レポートの提出について", "Re: 来週の会議", "【重要】停止のお知らせ", "飲み会の件"})
	text := g.pick([]string{"お世話になっております。", "よろしくお願いいたします。", "添付の資料をご覧ください。"})
	encoder := japanese.ISO2022JP.NewEncoder()
	body, err := encoder.String(strings.Repeat(text+"\r\n", 3+g.rand.IntN(20)))
	if err != nil {
		panic("internal error: sample text is not in ISO-2022-JP: " + err.Error())
	}
	encoded, err := encoder.String(subject)
	if err != nil {
		panic("internal error: sample subject is not in ISO-2022-JP: " + err.Error())
	}
	b := g.header("=?ISO-2022-JP?B?"+base64.StdEncoding.EncodeToString([]byte(encoded))+"?=",
		"Content-Type: text/plain; charset=iso-2022-jp", "Content-Transfer-Encoding: 7bit")
	b.WriteString(body)
	return b.Bytes()
}

func (g *generator) html() []byte {
	b := g.header(mime.QEncoding.Encode("utf-8", "Nur heute: Grüße & Käse"),
		"Content-Type: text/html; charset=utf-8", "Content-Transfer-Encoding: 8bit")
	fmt.Fprintf(b, "<html><body><p>Grüße! お得な情報 %d</p>\r\n", g.rand.IntN(100))
	for i := range 20 + g.rand.IntN(60) {
		fmt.Fprintf(b, "<tr><td>%d</td><td>%x</td></tr>\r\n", i, g.rand.Uint64())
	}
	b.WriteString("</body></html>\r\n")
	return b.Bytes()
}

func (g *generator) attachment() []byte {
	const boundary = "=_part_7f3a"
	b := g.header("=?UTF-8?B?6LOH5paZ44KS6YCB44KK44G+44GZ?=",
		`Content-Type: multipart/mixed; boundary="`+boundary+`"`)
	var data []byte
	for range 250 + g.rand.IntN(15_000) {
		data = binary.LittleEndian.AppendUint64(data, g.rand.Uint64())
	}
	fmt.Fprintf(b, "--%s\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n資料です。\r\n", boundary)
	fmt.Fprintf(b, "--%s\r\nContent-Type: application/pdf; name=\"report.pdf\"\r\n"+
		"Content-Disposition: attachment; filename*=UTF-8''%%E8%%B3%%87%%E6%%96%%99.pdf\r\n"+
		"Content-Transfer-Encoding: base64\r\n\r\n", boundary)
	text := base64.StdEncoding.EncodeToString(data)
	for len(text) > 76 {
		b.WriteString(text[:76] + "\r\n")
		text = text[76:]
	}
	fmt.Fprintf(b, "%s\r\n--%s--\r\n", text, boundary)
	return b.Bytes()
}

// odd is mail as it should not be and is: every octet of it must come through.
func (g *generator) odd() []sampleMessage {
	return g.fixed(
		"Subject: NUL inside\r\n\r\nbefore\x00after\r\n",
		"Subject: bare LF\r\n\r\none\ntwo\nthree\r\n",
		"Subject: bare CR\r\n\r\none\rtwo\r\rthree",
		"Subject: \xc5\xc4\xc3\xe6 raw EUC-JP\r\n\r\n\xa4\xb3\xa4\xf3\xa4\xcb\xa4\xc1\xa4\xcf\r\n",
		"Subject: \x1b$BF|K\\8l\x1b(B raw ISO-2022-JP\r\n\r\n\x1b$BF|K\\8l\x1b(B\r\n",
		"Subject: no body\r\n\r\n",
		"Subject: header only, no end",
		"\r\nno header at all\r\n",
		"From taro Sat Apr  1 08:00:00 2023\r\nSubject: mbox line first\r\n\r\n"+
			"From here on\r\n>From there on\r\n.\r\n..\r\n",
		"Subject: one long line\r\n\r\n"+strings.Repeat("0123456789", 12_000)+"\r\n",
		"Subject: looks like IMAP\r\n\r\n* 1 FETCH (UID 1)\r\nA1 OK done\r\n{10}\r\n)\r\n",
		"Subject: not UTF-8 \xff\xfe\xfd\r\nX-Empty:\r\n : \r\n\r\n\x80\x81\r\n",
	)
}

func (g *generator) fixed(texts ...string) []sampleMessage {
	msgs := make([]sampleMessage, len(texts))
	for i, text := range texts {
		msgs[i] = sampleMessage{octets: []byte(text), date: g.date(), flags: g.flags()}
	}
	return msgs
}

// SPDX-License-Identifier: GPL-3.0-or-later

// A small net/http server: the program that the founding question is about. It
// answers a few requests to itself, says where its heap arena lies, and waits.
package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

const arenaStart = 0xc000000000
const arenaEnd = arenaStart + 64<<20

// mapping is one line of /proc/self/maps inside the heap arena.
type mapping struct {
	start, end uint64
	perm       string
}

func arena() (list []mapping) {
	f, err := os.Open("/proc/self/maps")
	if err != nil {
		return nil
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var m mapping
		n, _ := fmt.Sscanf(lines.Text(), "%x-%x %s", &m.start, &m.end, &m.perm)
		if n == 3 && m.start >= arenaStart && m.end <= arenaEnd {
			list = append(list, m)
		}
	}
	return list
}

// say claims what is sure of one part: a reserve has no page, an open part has
// some that come and go with the collector.
func say(m mapping) {
	size := m.end - m.start
	name, owner, causes := "go-arena-open", "go-heap", `"R1|N4|N20"`
	if strings.HasPrefix(m.perm, "---") {
		name, owner, causes = "go-arena-reserve", "go-arena-reserve", `"N9"`
	}
	fmt.Printf(`{"region":"%s","start":"0x%x","end":"0x%x","alone":false,`+
		`"owner":"%s","expect":{"causes":{%s:%d}}}`+"\n",
		name, m.start, m.end, owner, causes, size)
}

func serve(listener net.Listener) {
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "hello")
	})
	http.Serve(listener, nil)
}

func request(address string) error {
	answer, err := http.Get("http://" + address + "/")
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	return err
}

func main() {
	time.AfterFunc(120*time.Second, func() { os.Exit(1) })
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(`{"region":"go-server","skip":"no local socket"}`)
		os.Exit(0)
	}
	go serve(listener)
	for i := 0; i < 20; i++ {
		if err := request(listener.Addr().String()); err != nil {
			os.Exit(1)
		}
	}
	http.DefaultClient.CloseIdleConnections()
	time.Sleep(200 * time.Millisecond)
	for _, m := range arena() {
		say(m)
	}
	fmt.Println(`{"ready":true}`)
	io.Copy(io.Discard, os.Stdin)
}

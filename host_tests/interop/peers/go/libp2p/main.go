// Command libp2p is a real go-libp2p node for the tests: TCP, Noise and Yamux, driven by lines of JSON.
//
// It prints {"id", "addrs"} and then answers each line {"do": ...} of its input with one line; what arrives
// by itself (a published message) is a line with "event".
package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
)

type order struct {
	Do, Addr, Peer, Proto, Topic, Data string
	Count, Size                        int
}

type answer map[string]any

var (
	out    = json.NewEncoder(os.Stdout)
	outMu  sync.Mutex
	topics = map[string]*pubsub.Topic{}
)

func say(line answer) {
	outMu.Lock()
	defer outMu.Unlock()
	_ = out.Encode(line)
}

func identity(kind string) (crypto.PrivKey, error) {
	kinds := map[string]int{"rsa": crypto.RSA, "ecdsa": crypto.ECDSA, "secp256k1": crypto.Secp256k1}
	number, known := kinds[kind]
	if !known {
		number = crypto.Ed25519
	}
	key, _, err := crypto.GenerateKeyPairWithReader(number, 2048, rand.Reader)
	return key, err
}

func main() {
	kind, router := "ed25519", "gossipsub"
	if len(os.Args) > 1 {
		kind = os.Args[1]
	}
	if len(os.Args) > 2 {
		router = os.Args[2]
	}
	ctx := context.Background()
	key, err := identity(kind)
	fatal(err)
	node, err := libp2p.New(
		libp2p.Identity(key),
		libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"),
		libp2p.Transport(tcp.NewTCPTransport),
		libp2p.Security(noise.ID, noise.New),
		libp2p.Muxer(yamux.ID, yamux.DefaultTransport),
		libp2p.ResourceManager(&network.NullResourceManager{}),
		libp2p.DisableRelay(),
	)
	fatal(err)
	node.SetStreamHandler("/echo/1.0.0", func(s network.Stream) {
		_, _ = io.Copy(s, s)
		_ = s.CloseWrite()
	})
	node.SetStreamHandler("/sink/1.0.0", func(s network.Stream) {
		taken, err := io.Copy(io.Discard, s)
		say(answer{"event": "sink", "bytes": taken, "error": text(err)})
		_ = s.Close()
	})
	node.SetStreamHandler("/reset/1.0.0", func(s network.Stream) { _ = s.Reset() })
	node.SetStreamHandler("/count/1.0.0", count)
	var gossip *pubsub.PubSub
	if router == "floodsub" {
		gossip, err = pubsub.NewFloodSub(ctx, node)
	} else {
		gossip, err = pubsub.NewGossipSub(ctx, node)
	}
	fatal(err)
	if len(os.Args) > 3 && os.Args[3] == "dht" {
		fatal(serveDHT(node))
	}
	var addrs []string
	for _, a := range node.Addrs() {
		addrs = append(addrs, fmt.Sprintf("%s/p2p/%s", a, node.ID()))
	}
	say(answer{"id": node.ID().String(), "addrs": addrs})
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var o order
		if json.Unmarshal(lines.Bytes(), &o) != nil {
			continue
		}
		result, err := obey(ctx, node, gossip, o)
		if err != nil {
			result = answer{"error": err.Error()}
		}
		result["did"] = o.Do
		say(result)
	}
}

// count reads messages of 64 bytes and answers one byte for the last of them: how fast small writes arrive.
func count(s network.Stream) {
	head, one := make([]byte, 4), make([]byte, 64)
	if _, err := io.ReadFull(s, head); err != nil {
		return
	}
	wanted := int(head[0])<<24 | int(head[1])<<16 | int(head[2])<<8 | int(head[3])
	reader := bufio.NewReaderSize(s, 65536)
	for i := 0; i < wanted; i++ {
		if _, err := io.ReadFull(reader, one); err != nil {
			return
		}
	}
	_, _ = s.Write([]byte{1})
	_ = s.Close()
}

func obey(ctx context.Context, node host.Host, gossip *pubsub.PubSub, o order) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	id, _ := peer.Decode(o.Peer)
	switch o.Do {
	case "dial":
		info, err := peer.AddrInfoFromString(o.Addr)
		if err != nil {
			return nil, err
		}
		return answer{"peer": info.ID.String()}, node.Connect(ctx, *info)
	case "hangup":
		return answer{}, node.Network().ClosePeer(id)
	case "peers":
		var all []string
		for _, p := range node.Network().Peers() {
			all = append(all, p.String())
		}
		return answer{"peers": all}, nil
	case "identify":
		return identified(node, id)
	case "ping":
		return pinged(ctx, node, id, o.Count)
	case "echo":
		return echoed(ctx, node, id, o.Proto, o.Size)
	case "reset":
		s, err := node.NewStream(ctx, id, protocol.ID(o.Proto))
		if err != nil {
			return nil, err
		}
		_, _ = s.Write([]byte("x"))
		return answer{}, s.Reset()
	case "subscribe":
		return answer{}, subscribe(gossip, o.Topic)
	case "publish":
		t, err := joined(gossip, o.Topic)
		if err != nil {
			return nil, err
		}
		return answer{}, t.Publish(ctx, []byte(o.Data))
	case "mesh":
		var all []string
		for _, p := range gossip.ListPeers(o.Topic) {
			all = append(all, p.String())
		}
		return answer{"peers": all}, nil
	case "table", "find", "provide", "providers":
		return obeyDHT(ctx, o)
	}
	return nil, fmt.Errorf("what is %q", o.Do)
}

func identified(node host.Host, id peer.ID) (answer, error) {
	protocols, err := node.Peerstore().GetProtocols(id)
	if err != nil {
		return nil, err
	}
	agent, _ := node.Peerstore().Get(id, "AgentVersion")
	var addrs []string
	for _, a := range node.Peerstore().Addrs(id) {
		addrs = append(addrs, a.String())
	}
	return answer{"protocols": protocols, "agent": agent, "addrs": addrs}, nil
}

func pinged(ctx context.Context, node host.Host, id peer.ID, n int) (answer, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := ping.Ping(ctx, node, id)
	good := 0
	for ; good < n; good++ {
		if r := <-results; r.Error != nil {
			return answer{"good": good}, r.Error
		}
	}
	return answer{"good": good}, nil
}

func echoed(ctx context.Context, node host.Host, id peer.ID, proto string, size int) (answer, error) {
	s, err := node.NewStream(ctx, id, protocol.ID(proto))
	if err != nil {
		return nil, err
	}
	defer s.Close()
	_ = s.SetDeadline(time.Now().Add(30 * time.Second))
	data := make([]byte, size)
	_, _ = rand.Read(data)
	failed := make(chan error, 1)
	go func() {
		_, err := s.Write(data)
		if err == nil {
			err = s.CloseWrite()
		}
		failed <- err
	}()
	back, err := io.ReadAll(s)
	if err == nil {
		err = <-failed
	}
	sent, got := sha256.Sum256(data), sha256.Sum256(back)
	return answer{"sent": hex.EncodeToString(sent[:]), "got": hex.EncodeToString(got[:]), "bytes": len(back)}, err
}

func joined(gossip *pubsub.PubSub, name string) (*pubsub.Topic, error) {
	if t, known := topics[name]; known {
		return t, nil
	}
	t, err := gossip.Join(name)
	if err == nil {
		topics[name] = t
	}
	return t, err
}

func subscribe(gossip *pubsub.PubSub, name string) error {
	t, err := joined(gossip, name)
	if err != nil {
		return err
	}
	s, err := t.Subscribe()
	if err != nil {
		return err
	}
	go func() {
		for {
			m, err := s.Next(context.Background())
			if err != nil {
				return
			}
			say(answer{"event": "message", "topic": name, "from": m.GetFrom().String(), "data": string(m.Data)})
		}
	}()
	return nil
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func fatal(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// Package zkconn makes connections to ZooKeeper: it is what the client library,
// github.com/go-zookeeper/zk, lets others say about that, done with more care.
//
// The library looks servers up by name once, when it starts, and gives up if it
// cannot; [Hosts] looks them up at each dial. The library waits for the first
// answer of a server for several times the session timeout, 66 s where that is
// 10 s, and a server that is starting may accept a connection and never answer
// on it; [Greet] bounds the wait.
//
//	zk.Connect(servers, session, zk.WithHostProvider(&zkconn.Hosts{}), zk.WithDialer(
//		func(network, address string, timeout time.Duration) (net.Conn, error) {
//			conn, err := net.DialTimeout(network, address, timeout)
//			if err != nil {
//				return nil, err
//			}
//			return zkconn.Greet(conn, session, nil), nil
//		}))
package zkconn

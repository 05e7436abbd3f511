/*
 * Tokens and attempts of a client that resumes its connection.
 *
 * Link 0 begins the connection: it is live at first, or its ready is under way. The client may lose or give up each link but the
 * last at any moment, and dials again. What it has given up may still arrive at the server, be authenticated, and be noticed as
 * broken, at any later time: so each link has a process of its own at the server. Counts of messages are the subject of
 * replay.pml. A first handshake that runs out of time before the client has made another attempt ends the connection, and is left
 * out.
 *
 * Sections: PROTOCOL.md, "Resuming" and "Link lost while a connection is resumed".
 * Bounds: 4 links, that is 3 attempts to resume; refusals with OVERLOADED for all but the last; one message on each link.
 *
 * claim never_stopped: "The number tells S which of the two attempts C is waiting for." (PROTOCOL.md, "Resuming")
 *   A client that alone holds its token is never told REPLACED or RESUME_REJECTED, and in the end its last link is live.
 * claim one_link: "There is one live link to a connection." (PROTOCOL.md, "Resuming")
 * claim let_go: "it acts on nothing more that arrives there" (PROTOCOL.md, "Resuming")
 *   Once a welcome has been sent, no message of an earlier link is acted on.
 * claim given_up: "C has made a later attempt meanwhile" (PROTOCOL.md, "Resuming")
 *   An attempt that the client has given up does not take the connection from a link on which the client is ready.
 * claim none_awaited: "The same goes for a link whose *ready* S still waits for" (PROTOCOL.md, "Resuming")
 *   Once a welcome has been sent, no ready of an earlier link is waited for.
 */
#define claim(name, holds) assert(name || (holds))
hidden byte never_stopped, one_link, let_go, given_up, none_awaited /* all 0: they name the claim in what pan prints */

#define LINKS 4
#define LAST (LINKS - 1)
#define NONE 255
#define HAS(channel, kind) channel?[kind, _, _]

mtype = { hello, ready, message, welcome, closed }
mtype = { overloaded, replaced, rejected }
mtype = { shaking, settling, welcomed, handed, live, over }

chan toServer[LINKS] = [3] of { mtype, byte, byte } /* hello: token, number */
chan toClient[LINKS] = [3] of { mtype, byte, byte } /* welcome: token; closed: why */

/* What the client knows. */
byte newest = 0
bool isReady = true
bool isGivenUp[LINKS]

/* What the server knows. */
mtype state[LINKS] = shaking
byte current = 0, next = NONE, issued = 0 /* tokens */
byte highest = 0 /* number of an attempt that was let in */
byte latest = 0 /* link of the attempt that was let in last */

#define IS_LIVE(link) (state[link] == live)
#define IS_AWAITED(link) (state[link] == welcomed)

inline close(link, why) {
  state[link] = over;
  toClient[link]!closed(why, 0)
}

/* Lets go of whatever link the connection has. One that was handed to it, and which it has not taken yet, counts; and one whose
 * ready has not come. */
inline letGo() {
  for (other : 0 .. LAST) {
    if
    :: state[other] == live -> close(other, replaced)
#if !defined(MUTANT_EARLIER_READY_AWAITED) && !defined(MUTANT_LATE_READY_COUNTS)
    :: state[other] == welcomed -> close(other, replaced)
#endif
#ifndef MUTANT_HANDED_LINK_STAYS
    :: state[other] == handed -> close(other, replaced)
#endif
    :: else
    fi
  }
}

/* What S does with a hello once it has authenticated the client. */
inline admit(link, token, number) {
  if
  :: token != current && token != next -> close(link, rejected)
  :: (token == current || token == next) && number <= highest -> close(link, replaced)
  :: else ->
    claim(given_up, !isReady || newest == link);
#ifndef MUTANT_LETS_GO_AT_READY
    letGo();
#endif
#ifndef MUTANT_NO_NUMBERS
    highest = number;
#endif
    latest = link;
    state[link] = settling
  fi
}

/* What S does once it has acted on the rest of a message of an earlier link. */
inline greet(link, token) {
  if
#ifndef MUTANT_SUPERSEDED_IS_WELCOMED
  :: link != latest -> close(link, replaced)
#endif
  :: else ->
#ifndef MUTANT_LETS_GO_AT_READY
    claim(none_awaited, !IS_AWAITED(0) && !IS_AWAITED(1) && !IS_AWAITED(2) && !IS_AWAITED(3));
#endif
    issued++;
    next = issued;
#ifdef MUTANT_TOKEN_OVER_AT_WELCOME
    current = next;
#else
    current = token;
#endif
    state[link] = welcomed;
    toClient[link]!welcome(issued, 0)
  fi
}

/* What S does with ready. */
inline confirm(link) {
  if
#ifndef MUTANT_LATE_READY_COUNTS
  :: link != latest -> close(link, replaced)
#endif
  :: else ->
#ifdef MUTANT_LETS_GO_AT_READY
    letGo();
#endif
    if :: next != NONE -> current = next; next = NONE :: else fi;
    state[link] = handed
  fi
}

#ifdef MUTANT_EARLIER_READY_AWAITED
/* The first ready has not come in time: S gives the connection up. */
inline giveUp() {
  current = NONE;
  next = NONE;
  for (other : 0 .. LAST) {
    if
    :: state[other] == welcomed || state[other] == handed || state[other] == live -> close(other, rejected)
    :: else
    fi
  }
}
#endif

active [LINKS] proctype Server() {
  byte link = _pid, token, number, other;

end:
  do
  :: atomic { state[link] == shaking && HAS(toServer[link], hello) -> toServer[link]?hello(token, number) }
    /* Authentication takes its time. */
    if
    :: atomic { admit(link, token, number) }
    :: atomic { link < LAST -> close(link, overloaded) }
    :: isGivenUp[link] -> state[link] = over
    fi
  :: atomic { state[link] == settling -> greet(link, token) }
  :: atomic { state[link] == welcomed && HAS(toServer[link], ready) -> toServer[link]?ready(_, _); confirm(link) }
  :: atomic { state[link] == handed ->
      state[link] = live;
      claim(one_link, IS_LIVE(0) + IS_LIVE(1) + IS_LIVE(2) + IS_LIVE(3) == 1) }
  :: atomic { state[link] == live && HAS(toServer[link], message) ->
      toServer[link]?message(_, _);
      claim(let_go, link == latest) }
#ifdef MUTANT_EARLIER_READY_AWAITED
  :: atomic { link == 0 && state[link] == welcomed && link != latest -> giveUp() }
#endif
  :: isGivenUp[link] && state[link] != over -> state[link] = over /* it is seen to be broken */
  :: state[link] == over -> break
  od
}

inline dial() {
  isGivenUp[newest] = true;
  newest++;
#ifdef MUTANT_NUMBER_USED_AGAIN
  if :: isReady -> number++ :: else fi;
#else
  number++;
#endif
  isReady = false;
  toServer[newest]!hello(token, number)
}

active proctype Client() {
  byte token = 0, number = 0, what;

  atomic {
    if
    :: state[0] = live
    :: state[0] = welcomed -> toServer[0]!ready(0, 0)
    fi;
    toServer[0]!message(0, 0)
  }
  do
  :: toClient[newest]?welcome(what, _) ->
    atomic { token = what; isReady = true; toServer[newest]!ready(0, 0); toServer[newest]!message(0, 0) }
  :: atomic { toClient[newest]?closed(what, _) ->
      claim(never_stopped, what == overloaded);
      if :: what == overloaded -> dial() :: else -> break fi }
  :: atomic { newest < LAST -> dial() } /* the link is lost, or takes too long */
  :: atomic { timeout -> claim(never_stopped, isReady && IS_LIVE(newest)) -> break }
  od
}

/*
 * Counting, acknowledgement and replay of one direction of a connection: A sends, B receives.
 *
 * A keeps the messages that it sent until they are acknowledged. A message lies in memory that may be used again for others
 * once nothing needs it: here it then holds USED. A socket refers to that memory until it has written the message, also when its
 * link was lost and is still being closed. B may lie: it acknowledges what it has not received.
 *
 * Sections: PROTOCOL.md, "Counting", "Acknowledgement" and "Resuming".
 * Bounds: 4 messages, of which A keeps 2; 3 links, each of which may be lost but the last; 2 frames in a socket and 2 on their way.
 *
 * claim acted_on_once: "with no message lost and none twice" (PROTOCOL.md, "Sessions")
 *   B acts on 1, 2, 3 and so on, and on nothing else.
 * claim all_arrive: "PING thus asks for one" (PROTOCOL.md, "Acknowledgement")
 *   In the end B has acted on all messages, though it acknowledges only when it is asked.
 * claim true_acks: "an ACK below an earlier one, or above what was sent, as a connection error PROTOCOL_ERROR" (PROTOCOL.md, "Acknowledgement")
 *   A finds no such ACK of a B that does not lie.
 * claim own_bytes: "byte for byte and in order" (PROTOCOL.md, "Resuming")
 *   No socket writes memory that is used again, whatever B acknowledges.
 * claim bounded: "What is kept is bounded" (PROTOCOL.md, "Acknowledgement")
 */
#define claim(name, holds) assert(name || (holds))
hidden byte acted_on_once, all_arrive, true_acks, own_bytes, bounded /* all 0: they name the claim in what pan prints */

#ifndef MESSAGES
#define MESSAGES 3
#endif
#define KEPT 2
#ifndef LINKS
#define LINKS 3
#endif
#define PING 254
#define USED 255

byte memory[MESSAGES + 1] /* what the memory of a message holds: its number */
chan socket[LINKS] = [2] of { byte } /* A's: messages by number, or PING */
chan path[LINKS] = [2] of { byte } /* what was written, on its way to B */
chan acks[LINKS] = [1] of { byte }
chan counts = [1] of { byte } /* B's count for the next link, as a hello or a welcome tells it */

bool lies /* B acknowledges what it has not received */
bool isLazy /* B acknowledges only when it is asked */
bool isOver /* A has ended the connection */

/* A: messages that were made, and handed to this link or received on an earlier one, and acknowledged. */
byte link = 0, made = 0, sent = 0, acknowledged = 0
byte written = 0 /* up to this message, the link holds none any more */
byte firstOnLink = 0 /* up to this message, a lost link may hold them */
byte asked = 0 /* so many were sent when A asked for an ACK; 0: it has not asked on this link */

/* B */
byte linkOfB = 0, received = 0, told = 0
bool isBegun /* B has begun to act on a message */

#define IS_FULL (made - acknowledged >= KEPT)

/* Frees what is acknowledged; its memory is used again at once if nothing holds it. */
inline free(count) {
  do
  :: acknowledged < count ->
    acknowledged++;
    if
#ifdef MUTANT_ACK_FREES_MEMORY
    :: true -> memory[acknowledged] = USED
#endif
#ifdef MUTANT_LOST_LINK_FORGOTTEN
    :: acknowledged <= written -> memory[acknowledged] = USED
#endif
    :: acknowledged > firstOnLink && acknowledged <= written -> memory[acknowledged] = USED
    :: else
    fi
  :: else -> break
  od
}

inline noteWritten() {
  if :: empty(socket[link]) -> written = sent :: nempty(socket[link]) fi
}

inline onAck(count) {
  noteWritten();
  if
  :: count < acknowledged || count > sent -> claim(true_acks, lies); isOver = true
  :: else -> free(count)
  fi
}

active proctype A() {
  byte count;

  if :: lies = true :: isLazy = true :: skip fi;
end:
  do
  /* Hands the next message to the link: one of those that are sent again, or a new one. */
  :: atomic { !isOver && nfull(socket[link]) && sent < made ->
      noteWritten(); sent++; socket[link]!sent }
#ifdef MUTANT_NO_BOUND
  :: atomic { !isOver && nfull(socket[link]) && sent == made && made < MESSAGES ->
#else
  :: atomic { !isOver && nfull(socket[link]) && sent == made && made < MESSAGES && !IS_FULL ->
#endif
      noteWritten(); made++; sent++; memory[made] = made; socket[link]!made;
      claim(bounded, made - acknowledged <= KEPT) }
#ifndef MUTANT_DOES_NOT_ASK
  :: atomic { !isOver && nfull(socket[link]) && sent == made && IS_FULL && acknowledged >= asked ->
      asked = sent; socket[link]!PING }
#endif
  :: atomic { !isOver && nempty(acks[link]) -> acks[link]?count; onAck(count) }
#ifdef MUTANT_LATE_ACK_COUNTS
  :: atomic { !isOver && link > 0 && nempty(acks[link - 1]) -> acks[link - 1]?count; onAck(count) }
#endif
  /* The next link is there. */
  :: atomic { !isOver && nempty(counts) ->
      counts?count;
      firstOnLink = made;
      if
      :: count < acknowledged || count > made -> claim(true_acks, lies); isOver = true
      :: else ->
        free(count);
#ifdef MUTANT_ALL_KEPT_IS_SENT_AGAIN
        sent = (acknowledged > 0 -> acknowledged - 1 : 0);
#else
        sent = acknowledged;
#endif
#ifndef MUTANT_QUESTION_SURVIVES_LINK
        asked = 0;
#endif
#ifndef MUTANT_LATE_ACK_COUNTS
        do :: nempty(acks[link]) -> acks[link]?_ :: empty(acks[link]) -> break od;
#endif
        link++
      fi }
  od
}

/* The platform writes what a socket holds, on lost links as well. */
active [LINKS] proctype Socket() {
  byte self = _pid - 1, frame;

end:
  do
  :: atomic { (nfull(path[self]) || self < linkOfB) && nempty(socket[self]) ->
      socket[self]?frame;
      if
      :: frame == PING
      :: else -> claim(own_bytes, memory[frame] == frame); frame = memory[frame]
      fi;
      if :: self == linkOfB -> path[self]!frame :: else fi }
  od
}

inline acknowledge(count) {
  acks[linkOfB]!count;
  told = count
}

inline act() {
  received++;
  isBegun = false
}

active proctype B() {
  byte frame;

end:
  do
  :: atomic { !isBegun && nempty(path[linkOfB]) && nfull(acks[linkOfB]) ->
      path[linkOfB]?frame;
      if
      :: frame != PING -> claim(acted_on_once, frame == received + 1); isBegun = true
      :: frame == PING && told < received -> acknowledge(received)
      :: else
      fi }
  :: atomic { isBegun -> act() }
  :: atomic { !isLazy && told < received && nfull(acks[linkOfB]) -> acknowledge(received) }
  :: atomic { lies && told < made && nfull(acks[linkOfB]) -> acknowledge(made) }
  /* The link is lost, or given up: B lets go of it, and tells what it has received. */
  :: atomic { linkOfB < LINKS - 1 && empty(counts) && !isOver && link == linkOfB ->
#ifdef MUTANT_BEGUN_MESSAGE_IS_NOT_COUNTED
      counts!received;
      if :: isBegun -> act() :: else fi;
#else
      if :: isBegun -> act() :: else fi;
      counts!received;
#endif
      told = received;
      do :: nempty(path[linkOfB]) -> path[linkOfB]?_ :: empty(path[linkOfB]) -> break od;
      linkOfB++ }
  :: atomic { timeout -> claim(all_arrive, isOver || received == MESSAGES); break }
  od
}

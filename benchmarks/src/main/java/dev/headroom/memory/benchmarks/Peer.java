package dev.headroom.memory.benchmarks;

import java.util.Objects;
import java.util.function.Consumer;
import java.util.function.LongConsumer;
import java.util.function.LongFunction;
import java.util.function.LongUnaryOperator;
import org.jspecify.annotations.Nullable;
import org.openjdk.jmh.infra.Blackhole;

/** An allocator that is measured, in one shape for all: tables of what is open, each of one thread, over a shared allocator. */
interface Peer {

    /** A table of what one thread has open. */
    interface Slots {

        /** Allocates into a free place. */
        void put(int place, long bytes);

        /** Frees a place. */
        void clear(int place);

        /** Allocates and frees at once. What is an object never gets into a table. */
        void pair(long bytes, Blackhole blackhole);
    }

    /** A table with so many places. */
    Slots slots(int count);

    /** To be called once by each thread before it uses a table. */
    default void enterThread() {}

    /** An allocator whose memory is named by numbers. */
    static Peer ofNumbers(LongUnaryOperator take, LongConsumer give) {
        return count -> new Slots() {
            private final long[] open = new long[count];

            @Override
            public void put(int place, long bytes) {
                open[place] = take.applyAsLong(bytes);
            }

            @Override
            public void clear(int place) {
                give.accept(open[place]);
            }

            @Override
            public void pair(long bytes, Blackhole blackhole) {
                long number = take.applyAsLong(bytes);
                blackhole.consume(number);
                give.accept(number);
            }
        };
    }

    /** An allocator whose memory is named by objects. */
    static <T> Peer ofHandles(LongFunction<T> take, Consumer<T> give) {
        return count -> new Slots() {
            private final @Nullable Object[] open = new Object[count];

            @Override
            public void put(int place, long bytes) {
                open[place] = take.apply(bytes);
            }

            @Override
            @SuppressWarnings("unchecked") // only put writes there
            public void clear(int place) {
                give.accept((T) Objects.requireNonNull(open[place]));
                open[place] = null;
            }

            @Override
            public void pair(long bytes, Blackhole blackhole) {
                T handle = take.apply(bytes);
                blackhole.consume(handle);
                give.accept(handle);
            }
        };
    }
}

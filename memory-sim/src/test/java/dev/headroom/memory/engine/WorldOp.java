package dev.headroom.memory.engine;

import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;

/** What a step of the model test's world can do, and how often it does. */
enum WorldOp {
    ALLOCATE(300),
    CLOSE(230),
    WRITE(80),
    READ(80),
    FILL(30),
    COPY(40),
    WRITE_ASYNC(30),
    READ_ASYNC(30),
    COPY_ASYNC(20),
    LAUNCH(60),
    PASS_TIME(30),
    STEP_PUMP(20),
    SHRINK(4),
    OCCUPY(10),
    RESERVE(4),
    END_RESERVATION(4),
    MAP(15),
    UNMAP(20),
    PIN(8),
    UNPIN(10),
    MOVE(12),
    MISUSE(20),
    ADD_STAGE(6),
    END_STAGE(6),
    CLOSE_QUEUE(3),
    LOOK(5),
    REOPEN(1);

    private static final WorldOp[] LOTS = lots();

    private final int weight;

    WorldOp(int weight) {
        this.weight = weight;
    }

    private static WorldOp[] lots() {
        List<WorldOp> lots = new ArrayList<>();
        for (WorldOp op : values()) {
            for (int i = 0; i < op.weight; i++) {
                lots.add(op);
            }
        }
        return lots.toArray(WorldOp[]::new);
    }

    static WorldOp draw(SplittableRandom random) {
        return LOTS[random.nextInt(LOTS.length)];
    }
}

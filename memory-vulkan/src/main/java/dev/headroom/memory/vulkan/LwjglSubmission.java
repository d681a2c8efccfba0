package dev.headroom.memory.vulkan;

import static org.lwjgl.system.MemoryUtil.NULL;

import java.nio.LongBuffer;
import org.lwjgl.system.MemoryStack;
import org.lwjgl.vulkan.VK10;
import org.lwjgl.vulkan.VkQueue;
import org.lwjgl.vulkan.VkSubmitInfo;
import org.lwjgl.vulkan.VkTimelineSemaphoreSubmitInfo;

/** The part of {@link LwjglVk} that puts work into a queue. */
final class LwjglSubmission {

    private LwjglSubmission() {}

    static int submit(VkQueue queue, VkApi.Submission submission) {
        try (NativeFrame frame = new NativeFrame()) {
            MemoryStack stack = frame.stack();
            VkSubmitInfo info = VkSubmitInfo.calloc(stack).sType$Default();
            if (submission.commands() != null) {
                info.pCommandBuffers(stack.pointers(submission.commands()));
            }
            VkTimelineSemaphoreSubmitInfo values =
                    VkTimelineSemaphoreSubmitInfo.calloc(stack).sType$Default();
            if (submission.awaited() != NULL) {
                info.waitSemaphoreCount(1)
                        .pWaitSemaphores(stack.longs(submission.awaited()))
                        .pWaitDstStageMask(stack.ints(VK10.VK_PIPELINE_STAGE_ALL_COMMANDS_BIT));
                values.waitSemaphoreValueCount(1).pWaitSemaphoreValues(stack.longs(submission.awaitedValue()));
            }
            if (submission.signal() != NULL) {
                LongBuffer semaphore = stack.longs(submission.signal());
                info.pSignalSemaphores(semaphore);
                values.signalSemaphoreValueCount(1).pSignalSemaphoreValues(stack.longs(submission.signalValue()));
            }
            if (submission.awaited() != NULL || submission.signal() != NULL) {
                info.pNext(values);
            }
            return VK10.vkQueueSubmit(queue, info, submission.fence());
        }
    }
}

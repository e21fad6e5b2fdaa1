import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.io.DecoderFactory;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.StringDeserializer;

/** Reads a topic's committed records to its end and prints one JSON object per record: Consume BROKERS REGISTRY TOPIC. */
public final class Consume {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final HttpClient HTTP = HttpClient.newHttpClient();

  public static void main(String[] args) throws Exception {
    Map<String, Object> conf = Map.of(
        "bootstrap.servers", args[0], "group.id", "java-" + System.nanoTime(), "enable.auto.commit", false,
        "auto.offset.reset", "earliest", "isolation.level", "read_committed");
    Map<Integer, GenericDatumReader<Object>> readers = new HashMap<>();
    try (var consumer = new KafkaConsumer<>(conf, new StringDeserializer(), new ByteArrayDeserializer())) {
      List<TopicPartition> all = consumer.partitionsFor(args[2]).stream()
          .map(p -> new TopicPartition(p.topic(), p.partition())).toList();
      Map<TopicPartition, Long> ends = consumer.endOffsets(all); // of a read_committed reader: the last stable ones
      consumer.subscribe(List.of(args[2]));
      long patience = System.nanoTime() + Duration.ofMinutes(2).toNanos();
      while (consumer.assignment().size() < all.size() || all.stream().anyMatch(p -> consumer.position(p) < ends.get(p))) {
        if (System.nanoTime() > patience) throw new IllegalStateException("not at the end " + ends + " after two minutes");
        for (var record : consumer.poll(Duration.ofMillis(200))) {
          ObjectNode line = JSON.createObjectNode().put("partition", record.partition()).put("offset", record.offset())
              .put("key", record.key()).put("timestamp", record.timestamp());
          ObjectNode headers = line.putObject("headers");
          record.headers().forEach(h -> headers.put(h.key(), new String(h.value(), StandardCharsets.UTF_8)));
          ByteBuffer value = ByteBuffer.wrap(record.value());
          if (value.get() != 0) throw new IllegalStateException("no Confluent header in " + record);
          int id = value.getInt();
          if (!readers.containsKey(id)) readers.put(id, new GenericDatumReader<>(schema(args[1], id)));
          Object decoded = readers.get(id).read(null,
              DecoderFactory.get().binaryDecoder(value.array(), value.position(), value.remaining(), null));
          line.set("value", JSON.readTree(decoded.toString())); // a generic record prints itself as JSON
          System.out.println(line);
        }
      }
    }
  }

  private static Schema schema(String registry, int id) throws Exception {
    var answer = HTTP.send(HttpRequest.newBuilder(URI.create(registry + "/schemas/ids/" + id)).build(),
        HttpResponse.BodyHandlers.ofString());
    if (answer.statusCode() != 200) throw new IllegalStateException("schema " + id + ": " + answer.body());
    return new Schema.Parser().parse(JSON.readTree(answer.body()).get("schema").asText());
  }
}

"""Words that mean much the same when somebody speaks to a model of its rules, so that a new wording of an old attack looks familiar."""

import re

from streams.screen.folding import folded

_WORDS = {
    "ignore": """
        ignore disregard forget skip drop discard overlook dismiss neglect omit override overrule bypass circumvent evade break violate
        disobey abandon cancel revoke delete erase wipe scrap remove lift suspend disable deactivate unlearn reject quit stop cease void
        null invalid withdraw withdrawn expired aside behind away cross unload lower relax bend waive throw leave rid unlock broken gone
        off loosen overboard obsolete outdated replace supersede
    """,
    "order": """
        instruction guideline directive order rule prompt policy policies command direction programming training configuration setup
        protocol guidance briefing law regulation principle
    """,
    "limit": """
        restriction limit filter safeguard guardrail constraint ethics ethical moral censorship safety moderation barrier check
        protection precaution warning disclaimer refusal inhibition conscience scruple boundary taboo alignment
    """,
    "before": "previous prior above earlier before initial original preceding first past beginning start top so far",
    "you": "you your yours yourself u ur",
    "me": "i me my mine we us our user",
    "told": "told given gave write wrote written instructed programmed taught said received primed assigned initialised initialized",
    "maker": """
        developer operator creator maker engineer company openai owner admin administrator root superuser ceo boss supervisor
        department team programmer vendor provider headquarters
    """,
    "show": """
        show print reveal output display repeat quote paste dump export copy share disclose leak expose tell list read recite echo spell
        transcribe summarise summarize translate type return reproduce
    """,
    "secret": "secret secretly hidden confidential internal private concealed forbidden locked silently quietly",
    "bot": "ai assistant model bot chatbot llm gpt machine robot agent chatgpt dan summariser summarizer copilot reader",
    "role": """
        pretend act play role roleplay character persona imagine become simulate behave impersonate speak embody mode personality
        identity twin ego voice mask
    """,
    "free": """
        free freed released unlimited unrestricted unfiltered uncensored jailbreak jailbroken rogue evil unbound liberated amoral
        lawless unhinged raw unlocked
    """,
    "no": "no not without never none zero nothing cannot nobody neither nor don doesn can't don't doesn't won't",
    "now": "now henceforth today onwards",
    "new": "new instead update updated reset restart",
    "allow": """
        allowed permitted may authorised authorized permission authority approve approved clearance cleared access granted authorise
        authorize allow permit exempt exception
    """,
    "all": "all any every everything anything whatever each",
    "send": "send post forward mail upload transfer call fetch run execute submit append",
    "place": "http https url link www curl",
    "goods": "password key token credential api email account card data record database",
    "must": "must shall should will have has need required obey follow comply serve agree listen",
    "refuse": "refuse decline object apologise apologize",
    "system": "system sys inst im_start im_end",
    "end": "end over stop finish",
    "harm": """
        bomb weapon gun explosive poison drug meth malware ransomware virus keylogger exploit phishing scam fraud forge fake counterfeit
        steal stolen rob hack hacker hacked crack brute bribe launder ransom stalk spy bug threaten threatening insult swear curse hateful
        racist propaganda rumour rumor murder kill burgle shoplift cheat lie pwned owned backdoor spam hijack blackmail smuggle traffick
    """,
    "only": "only just nothing solely exactly instead else verbatim",
    "reading": "reading reads processing processes summarising summarizing parsing reviewing grading",
}

# The same in other languages: a word with a star stands for all that begin with it. Written as people do, folded when loaded.
_STEMS = {
    "ignore": """
        ignorier* vergiss vergesst vergessen missacht* übergeh* umgeh* überschreib* verwirf* streich* brich verletz* hinweg abschalt*
        abgeschaltet* deaktivier* aufgehoben* ungültig* verstoß* beiseite bord kümmer* beendet ignora ignorad ignoren ignorar olvid*
        omit* desobedec* salta* sáltate rompe romper viola* incumpl* anulad* desactiva* suspendid* aparta* ignorez oubli* désobéi*
        contourn* enfrein* viole violez abandonn* annulé* désactiv* suspendu* levées levée écarte* néglige* ignorate ignorare dimentica*
        trascura* disobbed* aggira* infrang* annullat* disattiva* sospes* scordati tralascia* ignore esqueça* esquece* desconsider*
        desobedeça* contorn* quebre* desative* suspens* pule negeer* vergeet* omzeil* overtreed* breek verbreek* vervallen opgeheven
        uitgeschakeld* opzij zignoruj* ignoruj* zapomnij* pomiń* obejdź* złam* porusz* odrzuć* zniesion* wyłącz* nieważn* odłóż*
        görmezden yoksay* unut* çiğne* boz ihlal* geçersiz* kaldırıl* kapat* boşver* aldırma игнориру* проигнориру* забудь* забыть
        обойди* отбрось* наруш* отключ* отменен* отложи* сними снять сняты недействительн* ігноруй* zapomeň* ignorera* glöm* abaikan
        lupakan bỏ qua تجاهل* انس انسى خالف* تحايل* تخط* الغ* ألغيت رفعت اكسر* انتهك* अनदेखा* नजरअंदाज* भूल* तोड़* रद्द* हटा* बंद* 무시*
        잊* 우회* 어기* 해제* 무효* 치워* 제쳐* 忽略 无视 忘记 忘掉 不理 抛开 跳过 绕过 绕开 打破 违反 突破 作废 解除 取消 放到一边 無視
        忘れ 破って 回避 無効 取り払 脇に置
        schalte* apaga* coupe spegni* désobéir
    """,
    "order": """
        anweisung* befehl* vorgabe* regel regeln richtlinie* instruktion* vorschrift* anfangsanweisung* systemtext auftrag* instruccion*
        indicacion* regla* normas orden órdenes directri* configuracion* configurado mandat* consigne* règle* directive* ordre*
        configuration* configuré* istruzion* direttiv* regol* indicazion* ordini ordine configurazion* configurato instruç* orientaç*
        regra* ordem ordens diretri* configuraç* instructie* aanwijzing* regel* opdracht* bevel* ingesteld instrukcj* polece* zasad*
        reguł* wytyczn* konfigurac* skonfigurowan* talimat* kural* emir* emr* yönerge* ayarla* инструкц* указани* правил* команд*
        предписан* настроил* настройк* інструкц* pokyny instrukce pravidl* regler instruksi aturan perintah تعليمات* التعليمات اوامر*
        الاوامر قواعد* القواعد قواعدك تعليماتك أوامرك निर्देश* नियम* आदेश* हिदायत* 지시* 명령* 규칙* 지침* 설정* 指令 指示 规则 规定
        命令 准则 要求 设定 设置 ルール 規則 規約 प्रॉम्प्ट* промпт* 提示词 提示 프롬프트* プロンプト istem* prompt* موجه*
    """,
    "limit": """
        einschränkung* beschränkung* filter* sicherheitsfilter* zensur* schutzma* hemmung* gewissen sicherheitsregel* grenzen
        restriccion* límite* filtro* censura* moral protecciones restriction* limite* filtre* censure* morale protections restrizion*
        limiti filtri* restriç* filtros beperking* veiligheidsfilter* ograniczeni* filtr* cenzur* kısıtlama* sınır* sansür* ограничен*
        фильтр* цензур* обмежен* قيود* القيود مرشحات* حدود رقابة पाबंदि* प्रतिबंध* फ़िल्टर* सीमा* 제한* 필터* 검열* 限制 过滤 约束 审查
        制限 フィルター 規制 検閲
    """,
    "before": """
        oben vorherig* vorig* bisherig* früher* anfang* zuvor anterior* previ* antes inicial* arriba precedent* avant initial* dessus
        début precedente* prima iniziale* sopra acima vorige eerdere hierboven eerste poprzedni* powyżej wcześniej* przed önceki*
        yukarıda* ilk предыдущ* выше прежн* раньше перед السابقة سابق* أعلاه قبل पिछले* ऊपर* पहले* 이전* 위에* 위의* 앞의* 앞에* 之前
        以上 上面 以前 先前 前面 前の 以前の 上記 上の
    """,
    "you": """
        du dich dir dein deine deinen deiner deinem deines ihr euch sie tu tus te ti usted ustedes vos eres tú toi vous votre tes ton ta
        tuo tua tuoi tue sei você seu sua seus suas lhe je jij jou jouw u uw ty ciebie cię ci tobie twój twoje twoja twoich swoje swój
        swoich sen seni sana senin siz ты тебя тебе твой твои твоя вы вас вам свои твоего أنت انت عليك तुम* तुम्हें* तुम्हारे* तुम्हारा*
        आप* आपको* आपके* 너 너는* 네 너의* 너에게* 당신* 你 您 あなた 君
    """,
    "me": """
        ich mir mich mein meine meinen nutzer benutzer yo me mí mi mis usuario moi mon ma mes utilisateur io mio mia miei utente eu mim
        meu minha usuário utilizador ik mij mijn gebruiker ja mnie mój moją użytkownik* ben bana benim kullanıcı* я мне меня мой моим
        пользовател* أنا لي المستخدم मैं* मुझे* मेरा* मेरी* मेरे* उपयोगकर्ता* 나 나는* 내 내가* 나에게* 사용자* 我 用户 私 僕 利用者
        ユーザー
    """,
    "told": """
        gesagt gegeben aufgetragen bekommen erhalten geschrieben dijeron dieron dado recibi* ordenó mandó dit donné* recus ordonné detto
        dato ricevut* ordinato scritto dito recebe* mandou verteld gekregen opgedragen powiedzian* kazał* otrzymał* dostał* söylenen
        verilen emretti сказал* сказано дали приказал* получил* قيل أمرك أعطيت बताया* दिया* 들은* 받은* 시켰* 给你 言われた 与えられ
        命じ
    """,
    "maker": """
        entwickler* betreiber* administrator* schöpfer programmiert* administrador* desarrollador* operador* creador* programé
        développeur* opérateur* administrateur* créateur* programmé amministrator* sviluppator* operatore programmato desenvolvedor*
        ontwikkelaar* beheerder* systeembeheerder* programist* twórca operator* yönetici* geliştirici* operatör* разработчик*
        администратор* оператор* создател* مطور* المطور مدير المشغل डेवलपर* एडमिन* व्यवस्थापक* 개발자* 관리자* 운영자* 开发者 管理员
        运营者 開発者 管理者 運営者
    """,
    "show": """
        gib zeig* nenn* verrat* schreib* wiederhol* lies übersetz* liste muestra* revela* enseña* dame copia* repite* imprime* escrib*
        enumer* traduc* di dime affiche* révèl* montre* donne* recopie* répèt* écri* énumèr* tradui* mostra* rivela* ripeti stampa*
        dammi scrivi* elenca* traduci* mostre* exiba* repita* escreva* diga toon* onthul* geef herhaal* schrijf* pokaż* ujawnij* podaj*
        powtórz* napisz* przepisz* wypisz* göster* açıkla* yaz söyle* tekrarla* покажи* раскрой* выведи* назови* повтори* напиши* скажи*
        اعرض* اكشف* اظهر* كرر* اكتب* اطبع* दिखाओ* बताओ* लिखो* दोहराओ* 보여* 출력* 공개* 알려* 써 말해* 输出 显示 告诉 泄露 重复 公开
        写出 表示 教えて 出力 見せて 書いて 繰り返
    """,
    "secret": """
        geheim* versteckt* vertraulich* verborgen* secret* secrèt* ocult* escondid* cachees confidenti* segret* nascost* ukryt* tajn*
        gizli* секретн* скрыт* тайн* سري* السرية المخفية गुप्त* छिपे* 숨겨진* 비밀* 隐藏 秘密 机密 隠された
    """,
    "bot": """
        ki ki-assistent* sprachmodell* modell assistent* chatbot* ia modelo* asistente* modèle* assistant* modello* assistente*
        taalmodel* model* asystent* sztuczn* inteligencj* yapay zeka* asistan* ии модел* ассистент* нейросет* ші ذكاء الذكاء نموذج*
        النموذج मॉडल* एआई* सहायक* 인공지능* 모델* 비서* 人工智能 模型 助手 机器人 モデル アシスタント 人工知能
    """,
    "role": """
        spiel* stell rolle tu antworte finge imagina* actúa haz papel compórtate joue* imagine* fais rôle comporte* immagina* fai fingi
        recita* finja* imagine atue aja speel* udawaj* wyobraź* zachowuj* gibi davran* rolün притвор* представь* сыграй* веди роль*
        تخيل* تظاهر* मान* कल्पना* नाटक* 인 척 역할* 假设 扮演 假装 想象 演じ ふりを なりきって つもりで
    """,
    "free": """
        unzensiert* uneingeschränkt* frei libre* desatad* sincensura libre libérée libero libera livre vrij wolny özgür sınırsız
        свободн* حر स्वतंत्र* 자유* 自由
    """,
    "no": """
        ohne kein keine keinen nicht nichts nie niemals niemand sin ningún ninguna nunca nada nadie sans aucun* jamais rien personne pas
        senza nessun* mai niente sem nenhum* ninguém não zonder geen niet nooit bez żadn* nigdy nikt olmayan yok hiç hiçbir değil asla
        kimse без никак* никогда никто нет не بلا بدون لا أي لم बिना* किसी* नहीं* मत* 없는* 없이* 않* 말고* 못 아무* 没有 不要 不受 无
        不用 不再 ない なし ません なく
    """,
    "now": """
        jetzt ab sofort nun ahora maintenant désormais ora adesso agora nu vanaf teraz odtąd şimdi artık bundan теперь сейчас отныне
        الآن अब* 이제* 지금* 现在 从现在 此刻 これから 今から 今
    """,
    "new": """
        neu* nuev* nouve* nuov* novo novas novos nové nieuw* nowy nowa nowe nowego nowych yeni* нов* جديد* الجديدة नया* नई* 새로운* 새
        新 新しい
    """,
    "allow": """
        darfst erlaub* genehmigt* puedes permit* autoriza* peux permet* autorisé* puoi permett* autorizzat* pode mag toegestaan możesz
        wolno yapabilir* izin* можешь разреш* يسمح مسموح अनुमति* 허용* 可以 允许 許可
    """,
    "all": """
        alle alles allen todo* toda* tout* tous tutt* tudo wszystk* tüm bütün все всё всех كل جميع सभी* सब* 모든* 모두* 所有 一切 全部
        すべて 全て
    """,
    "send": """
        schick* send* sende* envía* envia* envie* envoie* envoyez invia* manda* stuur* wyślij* gönder* отправ* пошли* أرسل* भेजो* 보내*
        发送 送って
    """,
    "goods": """
        passwort* passwörter* zugangsdaten kennwort* contraseña* clave* credencial* mots passe identifiants password* credenzial* senha*
        wachtwoord* hasło hasła şifre* парол* كلمة المرور पासवर्ड* 비밀번호* 密码 パスワード
    """,
    "must": "musst muss soll sollst debes deves dois devi moet musisz zorunda* должен должны يجب 해야* 必须 なければ",
    "refuse": """
        ablehn* lehn* weiger* verweiger* niega* rechaza* refuse* refus* rifiut* recusa* odmawia* reddet* отказ* ترفض मना* 거절* 거부*
        拒绝 拒否
    """,
    "system": "systemprompt* system* sistema* système* sistem* systeem* systemow* систем* النظام सिस्टम* 시스템* 系统 システム",
    "only": "nur solo seulement soltanto apenas só alleen tylko sadece yalnızca только فقط केवल* सिर्फ* 만 오직* 只 だけ",
}

_ENDINGS = ("s", "ed", "d", "ing", "es", "ting", "ning", "ped")
_UNSPACED = re.compile("[\u3040-\u30ff\u3400-\u9fff]")
_SHORTEST_STEM = 2

WORDS = frozenset(" ".join(_WORDS.values()).split())
_FOREIGN = {folded(word): concept for concept, words in reversed(_STEMS.items()) for word in words.split()}
_CONCEPTS = {word: concept for word, concept in _FOREIGN.items() if not word.endswith("*")} | {
    word: concept for concept, words in reversed(_WORDS.items()) for word in words.split()
}
_PREFIXES = {word[:-1]: concept for word, concept in _FOREIGN.items() if word.endswith("*")}
_LONGEST_STEM = max(map(len, _PREFIXES))
# Words of scripts without spaces, longest first: what else would be read character by character.
UNSPACED = sorted((word for word in _CONCEPTS if _UNSPACED.search(word)), key=lambda word: (-len(word), word))


def concept_of(word: str) -> str | None:
    """Return the concept of a folded word, None for a word that has none."""
    found = _CONCEPTS.get(word)
    if found is None:
        bare = [word[: -len(ending)] for ending in _ENDINGS if word.endswith(ending)]
        bare += [f"{word[:-3]}e"] if word.endswith("ing") else []
        found = next((_CONCEPTS[stem] for stem in bare if stem in _CONCEPTS), None)
    if found is None:
        stems = (word[:length] for length in range(min(len(word), _LONGEST_STEM), _SHORTEST_STEM - 1, -1))
        found = next((_PREFIXES[stem] for stem in stems if stem in _PREFIXES), None)
    return found
